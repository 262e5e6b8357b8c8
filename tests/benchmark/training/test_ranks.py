"""One trial on several ranks gives what it gives on one device, and ends on all of them together."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.training.ranks import Ranks
from lrladder.benchmark.training.train import train
from tests.benchmark.training.rank_cases import (
    CONTINUED,
    KEYS,
    STAGES,
    averaged_trial,
    balanced_trial,
    biases,
    difference,
    equality_trial,
    finished,
    gradients,
    killed,
    latent_settings,
    latent_trial,
    losses_and_norms,
    on_ranks,
    plain_state,
    resumed_trial,
    roles_of,
    settings,
    spread_settings,
    whole_after_move,
)
from tests.benchmark.trials import no_log, tiny_corpus
from tests.golden.groups import golden_trial, read

STEPS = 6  # 50 once, by `python -m tests.benchmark.training.rank_cases 2 50`; docs/devices.md
Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds checkpoints of runs that were killed on one device."""
    made = tmp_path_factory.mktemp("ranks")
    for name in CONTINUED:
        place = made / "one" / name
        place.mkdir(parents=True)
        killed(resumed_trial("0"), place)
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> Found:
    """What two ranks found."""
    return on_ranks(2, folder, STEPS)


@pytest.fixture(scope="module")
def plain(folder: Path) -> tuple[list[float], list[float]]:
    return losses_and_norms(equality_trial(STEPS), folder)


@pytest.fixture(scope="module")
def latent(folder: Path) -> tuple[list[float], list[float]]:
    """What one device finds with latent attention."""
    return losses_and_norms(latent_trial(), folder)


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[dict[str, Any]]:
    """What one device measures of the run that others continue."""
    return finished(resumed_trial("0"), folder, None)


def test_all_that_a_pass_tells_the_other_ranks_is_one_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value comes back with its shape. The other rank here has twice this rank's values, and once nan."""
    ranks, sent = object.__new__(Ranks), list[int]()
    ranks.count = 2

    def other(values: torch.Tensor, *, async_op: bool) -> SimpleNamespace:
        sent.append(values.numel())

        def wait() -> None:
            values.mul_(3)
            values[0] = torch.nan

        return SimpleNamespace(wait=wait)

    monkeypatch.setattr("torch.distributed.all_reduce", other)
    given = torch.tensor(2.0), torch.arange(8.0).view(2, 4), torch.ones(2, 4, requires_grad=True)
    loss, probability, load = ranks.means(*given)
    assert sent == [17] and loss.isnan() and not load.requires_grad
    torch.testing.assert_close(probability, 1.5 * given[1])
    torch.testing.assert_close(load, torch.full((2, 4), 1.5))


@pytest.mark.parametrize("name", settings(STEPS))
def test_losses_and_gradient_norms_are_those_of_one_device(
    name: str, found: Found, plain: tuple[list[float], list[float]]
) -> None:
    """The norm before clipping; without a clip of the joint norm, losses would differ from the second step on."""
    for losses, norms in (found[0][name], found[1][name]):
        assert difference(losses, plain[0]) < 1e-5
        assert difference(norms, plain[1]) < 1e-4


def test_gradients_of_spread_experts_are_those_of_one_device(found: Found, folder: Path) -> None:
    for of_rank in found:
        _require_equal_gradients(of_rank["gradients 2"], gradients(equality_trial(STEPS), folder))


@pytest.mark.parametrize("name", latent_settings())
def test_latent_attention_trains_on_two_devices_as_on_one(
    name: str, found: Found, latent: tuple[list[float], list[float]]
) -> None:
    for losses, norms in (found[0][name], found[1][name]):
        assert difference(losses, latent[0]) < 1e-5
        assert difference(norms, latent[1]) < 1e-4


def test_gradients_of_latent_attention_beside_spread_experts_are_those_of_one_device(
    found: Found, folder: Path
) -> None:
    for of_rank in found:
        _require_equal_gradients(of_rank["latent gradients"], gradients(latent_trial(), folder))


def test_experts_over_two_or_four_of_four_ranks_train_as_on_one_device(
    tmp_path: Path, plain: tuple[list[float], list[float]]
) -> None:
    """Over two, two ranks hold each expert and sum its gradient."""
    alone = gradients(equality_trial(STEPS), tmp_path)
    for of_rank in on_ranks(4, tmp_path, STEPS, "spread"):
        for name in spread_settings(STEPS, 4):
            losses, norms = of_rank[name]
            assert difference(losses, plain[0]) < 1e-5, name
            assert difference(norms, plain[1]) < 1e-4, name
        for experts in (2, 4):
            _require_equal_gradients(of_rank[f"gradients {experts}"], alone)


@pytest.mark.parametrize("stage", [0, 1])
def test_moments_and_averages_of_spread_experts_are_whole_in_a_checkpoint(
    stage: int, found: Found, folder: Path
) -> None:
    alone = plain_state(whole_after_move(averaged_trial(TrainingSettings()), folder))
    assert {"weight", "exp_avg", "exp_avg_sq", "average", "step"} == set(alone[0])
    for got, expected in zip(found[0][f"averaged {stage}"], alone, strict=True):
        for name, value in expected.items():
            assert np.linalg.norm(got[name] - value) <= 1e-4 * np.linalg.norm(value), name


def test_roles_keep_their_lr_decay_and_eps_where_experts_are_spread(found: Found) -> None:
    assert found[0]["roles"] == found[1]["roles"] == roles_of(TrainingSettings())


def _require_equal_gradients(found: list[np.ndarray], alone: list[np.ndarray]) -> None:
    for got, expected in zip(found, alone, strict=True):
        assert np.linalg.norm(got - expected) <= 1e-5 * np.linalg.norm(expected)


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that is fp32 otherwise."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr("lrladder.benchmark.training.optimizer.dtype_of", lambda trial: torch.float64)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("in_float64")
def test_micro_batches_differ_from_the_whole_batch_by_rounding_alone(folder: Path) -> None:
    """A wrong mean or share would stay in float64. torch's grouped_mm has no float64."""
    trial = equality_trial(STEPS, expert_backend="reference")
    whole, parts = (losses_and_norms(trial, folder, micro) for micro in (None, 1))
    assert difference(parts[0], whole[0]) < 1e-14 > difference(parts[1], whole[1])


def test_loads_of_the_micro_batch_are_another_trial_with_other_losses(
    found: Found, plain: tuple[list[float], list[float]], folder: Path
) -> None:
    """Two sequences on two ranks are those of one rank with micro batches of two: no, other ones, but as many."""
    own = equality_trial(STEPS, aux_loss_sequences=2)
    assert own.id != equality_trial(STEPS).id
    losses, _ = found[0]["micro_batch"]
    alone, _ = losses_and_norms(own, folder, 2)
    assert difference(losses, plain[0]) > 1e-5 < difference(alone, plain[0])
    assert difference(losses, alone) < 1e-2


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_holds_the_golden_groups(stage: int, found: Found) -> None:
    from lrladder.models.transformer import Transformer

    sizes = {name: param.numel() for name, param in Transformer(golden_trial("mup").shape).named_parameters()}
    for held in (found[0][f"groups {stage}"], found[1][f"groups {stage}"]):
        golden = read("mup")
        assert len(held) == len(golden)
        for got, expected in zip(held, golden, strict=True):
            assert [got[key] for key in KEYS] == pytest.approx([expected[key] for key in KEYS])
            numel = sum(sizes[param] for param in expected["params"])
            ranks = 2 if stage else 1
            assert numel <= got["numel"] * ranks <= numel + 16 * ranks


@pytest.mark.parametrize("name", CONTINUED)
def test_a_killed_run_goes_on_to_the_same_numbers_and_the_first_rank_alone_writes(name: str, found: Found) -> None:
    for of_rank in found:
        assert of_rank[f"resumed {name}"]["continued"] == of_rank[f"resumed {name}"]["whole"]
    assert found[0][f"resumed {name}"]["whole"] == found[1][f"resumed {name}"]["whole"]


@pytest.mark.parametrize("name", CONTINUED)
def test_checkpoints_move_between_one_device_and_two(name: str, found: Found, alone: Any, folder: Path) -> None:
    whole = [m["loss"] for m in alone]
    onto_two = [m["loss"] for m in found[0][f"resumed {name}"]["from_one"]]
    rows: list[dict[str, object]] = []
    corpus = tiny_corpus(folder, resumed_trial("0").shape)
    onto_one = train(resumed_trial("0"), corpus, log=rows.append, trunks=folder / f"zero{name}" / "kept")
    assert {"continued_from_tokens": 9 * 64} in rows
    assert onto_two == pytest.approx(whole, rel=1e-5)
    assert [m.loss for m in onto_one] == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("stage", [0, 3])
def test_biases_of_experts_follow_the_loads_of_all_ranks(stage: int, found: Found, folder: Path) -> None:
    """In micro batches too; they are in the whole state, which another run restores."""
    alone = biases(balanced_trial(0), folder)
    assert any(any(of_block) for of_block in alone)
    for of_rank in found:
        for got, expected in zip(of_rank[f"biases {stage}"], alone, strict=True):
            assert got == pytest.approx(expected)


@pytest.mark.parametrize("name", CONTINUED)
def test_nan_on_one_rank_is_a_divergence_of_all_at_the_same_step(name: str, found: Found) -> None:
    for of_rank in found:
        assert of_rank[f"diverged {name}"] == "training loss is not finite at step 3"


def test_ranks_end_after_the_same_step_and_save_it_once(found: Found) -> None:
    assert found[0]["told"] == [5, -1, 5]
    assert found[1]["told"] == [5, -1]


def test_no_run_is_told_by_its_log_that_it_has_ranks(folder: Path) -> None:
    """Settings that change no number stay out of the id and of what is stored."""
    assert resumed_trial("3").id == resumed_trial("2 experts").id == resumed_trial("0").id
    assert "training" not in resumed_trial("3").model_dump()
    (measured, *_) = train(resumed_trial("1"), tiny_corpus(folder, resumed_trial("1").shape), log=no_log)
    assert measured.training == {"zero_stage": 1}


@pytest.mark.parametrize("name", [name for name in CONTINUED if name != "3"])
def test_metrics_are_those_of_one_device(name: str, found: Found, alone: Any) -> None:
    """Spread experts too, whose weights no rank has all of."""
    for got, expected in zip(found[1][f"resumed {name}"]["whole"], alone, strict=True):
        assert got["metrics"].keys() == expected["metrics"].keys() >= {"alignment_ratio/expert_up"}
        assert got["metrics"] == pytest.approx(expected["metrics"], rel=1e-3, abs=1e-5)


def test_a_measurement_records_that_experts_were_spread(found: Found) -> None:
    for measured in found[0]["resumed 2 experts"]["whole"]:
        assert measured["training"] == {"devices": 2, "zero_stage": 2, "expert_parallel": 2}
