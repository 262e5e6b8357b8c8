"""Golden parameter groups of a small MoE: as built, and as the DeepSpeed engine holds them on one and two ranks."""

import multiprocessing
import os
import socket
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrladder.benchmark.config.parts import RecipeConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.optimizer import build_engine
from lrladder.models.parameters import tag_of
from tests.benchmark.trials import BATCH, tiny_corpus
from tests.golden.groups import RULES, golden_trial, group_list, read

KEYS = ("lr", "weight_decay", "eps", "lr_multiplier")


@pytest.mark.parametrize("name", RULES)
def test_groups_are_the_golden_ones(name: str) -> None:
    assert _rounded(group_list(name)) == _rounded(read(name))


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=20)
@given(
    ratios=st.dictionaries(st.sampled_from(["embedding", "norm", "head", "router"]), st.floats(0.01, 300)),
    own=st.dictionaries(st.sampled_from(["embedding", "router", "attention", "expert_up"]), st.floats(0.1, 10)),
)
def test_a_recipe_multiplies_the_lr_of_its_roles_and_nothing_else(
    name: str, ratios: dict[str, float], own: dict[str, float]
) -> None:
    """On top of the rules, and multipliers of roles on top of both; at ratios of 1 to the bit what is without."""
    recipe = RecipeConfig.model_validate({f"{role}_lr": ratio for role, ratio in ratios.items()})
    before = _by_parameter(group_list(name))
    after = _by_parameter(group_list(name, recipe=recipe, role_lrs=tuple(own.items())))
    roles = {param: tag_of(value, param).role for param, value in _parameters(name).items()}
    for param, (lr, *others) in before.items():
        of_recipe = {"tied": "head"}.get(roles[param], roles[param])  # which has the LR of a head
        factor = ratios.get(of_recipe, 1.0) * own.get(roles[param], 1.0)
        assert after[param] == pytest.approx((factor * lr, *others), rel=1e-14), param
        if factor == 1.0:
            assert after[param] == (lr, *others), param


def _by_parameter(groups: list[dict[str, Any]]) -> dict[str, tuple[float, float, float]]:
    return {param: (g["lr"], g["weight_decay"], g["eps"]) for g in groups for param in g["params"]}


def test_rules_of_one_role_multiply_its_lr_by_the_width_ratio() -> None:
    """The golden model is twice as wide as its base; q and k norms, whose own width stays, follow the model's."""
    standard = _by_parameter(group_list("sp"))
    roles = {param: tag_of(value, param).role for param, value in _parameters("sp").items()}
    for name, moved in {
        "sp_embedding": {"embedding"},
        "sp_norm": {"norm"},
        "sp_embedding_norm": {"embedding", "norm"},
    }.items():
        for param, (lr, *others) in _by_parameter(group_list(name)).items():
            assert (lr, *others) == (standard[param][0] * (2 if roles[param] in moved else 1), *standard[param][1:])


def _rounded(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: float(f"{v:.12g}") if isinstance(v, float) else v for key, v in g.items()} for g in groups]


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("name", RULES)
def test_the_engine_holds_the_golden_groups(name: str, stage: int) -> None:
    engine = build_engine(golden_trial(name, training=TrainingSettings(zero_stage=stage)))
    _check(name, _held(engine), ranks=1)
    engine.destroy()


def _held(engine: Any) -> list[dict[str, float]]:
    """Per group what AdamW reads, and how many numbers this rank updates."""
    groups = engine.optimizer.param_groups
    return [{**{key: g[key] for key in KEYS}, "numel": sum(p.numel() for p in g["params"])} for g in groups]


def _check(name: str, held: list[dict[str, float]], *, ranks: int) -> None:
    """ZeRO 1 splits each group over the ranks, padded to a whole number of them."""
    sizes = {key: param.numel() for key, param in _parameters(name).items()}
    golden = read(name)
    assert len(held) == len(golden)
    for got, expected in zip(held, golden, strict=True):
        assert [got[key] for key in KEYS] == pytest.approx([expected[key] for key in KEYS])
        numel = sum(sizes[param] for param in expected["params"])
        assert numel <= got["numel"] * ranks <= numel + 16 * ranks


def _parameters(name: str) -> dict[str, torch.nn.Parameter]:
    from lrladder.models.transformer import Transformer

    return dict(Transformer(golden_trial(name).shape).named_parameters())


@pytest.mark.parametrize("stage", [0, 1])
def test_two_ranks_hold_the_same_groups_and_train_alike(stage: int, tmp_path: Path) -> None:
    """Two gloo ranks share each batch; the mean of their losses is the loss of one rank."""
    alone = _losses(stage, tmp_path)
    context = multiprocessing.get_context("spawn")
    queue: Queue[tuple[list[dict[str, float]], list[float]]] = context.Queue()
    port = _free_port()
    ranks = [context.Process(target=_rank, args=(rank, port, stage, tmp_path, queue)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    found = [queue.get(timeout=120) for _ in ranks]
    for process in ranks:
        process.join()
    for held, _ in found:
        _check("mup", held, ranks=2 if stage else 1)
    together = [sum(losses) / 2 for losses in zip(*(losses for _, losses in found), strict=True)]
    assert together == pytest.approx(alone, rel=1e-4)


def _losses(stage: int, folder: Path) -> list[float]:
    trial = golden_trial("mup", training=TrainingSettings(zero_stage=stage))
    loop = Loop(trial, tiny_corpus(folder, trial.shape), lambda row: None)
    loop.train_to(3 * BATCH, horizon=20 * BATCH)
    loop.engine.destroy()
    return loop.losses


def _rank(
    rank: int, port: int, stage: int, folder: Path, queue: "Queue[tuple[list[dict[str, float]], list[float]]]"
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    torch.set_num_threads(1)
    trial = golden_trial("mup", training=TrainingSettings(zero_stage=stage))
    engine = build_engine(trial)
    held = _held(engine)
    engine.destroy()
    queue.put((held, _losses(stage, folder)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
