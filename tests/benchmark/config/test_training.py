"""How trials are trained: by rung, refused where it cannot be, and in no id but where it changes numbers."""

from typing import Any

import pytest
import yaml

from lrladder.benchmark.config.text import config_digest
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.studies.kinds import load_study
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config, parse_config
from lrladder.paradigms.lab import Request

SMOKE = load_config("smoke")


def _config(**training: Any) -> RegretConfig:
    data = SMOKE.model_dump(mode="json") | {"training": training}
    return parse_config(yaml.safe_dump(data), source="study.yaml")


def _trial(config: RegretConfig) -> Any:
    (trial,) = resolve(Request("t48x4", "sp", 0.01, 0, (32768,)), config, corpus_digest="", precision="fp32")
    return trial


def test_a_rung_has_its_own_settings_and_the_other_ones_of_the_study() -> None:
    config = _config(zero_stage=1, rungs={"t48x4": {"devices": 2, "micro_batch": 4}})
    of_target = config.training_of(config.rungs.rung("t48x4"))
    assert (of_target.devices, of_target.zero_stage, of_target.micro_batch) == (2, 1, 4)
    of_proxy = config.training_of(config.rungs.rung("p16x1"))
    assert (of_proxy.devices, of_proxy.zero_stage, of_proxy.micro_batch) == (1, 1, "auto")


def test_settings_are_in_no_id_and_a_study_goes_on_with_other_ones() -> None:
    many = _config(devices=4, zero_stage=3, micro_batch=2, recompute="blocks", offload="cpu")
    assert _trial(many).id == _trial(SMOKE).id and many.digest == SMOKE.digest
    assert _trial(many).training.devices == 4
    spread = _config(devices=4, expert_parallel=2)
    assert _trial(spread).id == _trial(SMOKE).id and spread.digest == SMOKE.digest


def test_loads_of_micro_batches_change_the_ids_where_they_are_used() -> None:
    config = _config(rungs={"t48x4": {"devices": 2, "micro_batch": 2, "aux_loss_over": "micro_batch"}})
    trial = _trial(config)
    assert trial.aux_loss_sequences == 4 and trial.id != _trial(SMOKE).id and config.digest != SMOKE.digest
    same = _config(rungs={"t48x4": {"devices": 4, "micro_batch": 1, "aux_loss_over": "micro_batch"}})
    assert _trial(same).id == trial.id


@pytest.mark.parametrize("preset", ["smoke", "axes", "power"])
def test_digests_and_ids_are_those_of_the_config_before_it_had_these_settings(preset: str) -> None:
    """Then `optimizer` held the ZeRO stage, last. So folders of this store version continue."""
    study = load_study(preset)
    older = study.model_dump(mode="json", exclude={"name", "training"})
    older["optimizer"]["zero_stage"] = 0
    assert study.digest == config_digest(older)
    assert list(_trial(SMOKE).model_dump()["optimizer"])[-1] == "zero_stage"
    assert not {"training", "aux_loss_sequences"} & _trial(SMOKE).model_dump().keys()


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"devices": 3}, "16 sequences, which cannot be divided evenly among 3 devices with 1 in each pass"),
        ({"micro_batch": 5}, "with 5 in each pass; change devices, micro_batch or batch_tokens"),
        ({"rungs": {"t48": {"devices": 2}}}, "training.rungs: there is no rung 't48'; did you mean 't48x4'?"),
        ({"aux_loss_over": "micro_batch"}, "give that as a number"),
        ({"offload": "cpu", "zero_stage": 1}, "offload: cpu needs zero_stage 2 or 3, and this is 1"),
        ({"rungs": {"t48x4": {"offload": "cpu"}}}, "offload: cpu needs zero_stage 2 or 3, and this is 0"),
        ({"expert_parallel": 2}, "expert_parallel: 1 devices are no multiple of 2; change one of them"),
        ({"devices": 2, "expert_parallel": 2, "zero_stage": 3}, "expert_parallel needs zero_stage 2 or less"),
        ({"devices": 8, "expert_parallel": 8}, "the experts of rung p16x1 (4) cannot be divided evenly among 8"),
        ({"stage": 1}, "unknown key training.stage; did you mean 'zero_stage'?"),
        ({"zero_stage": 4}, "training.zero_stage: Input should be 0, 1, 2 or 3"),
    ],
)
def test_what_cannot_be_is_one_line(training: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        _config(**training)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_old_key_is_refused_by_its_new_name() -> None:
    data = SMOKE.model_dump(mode="json")
    data["optimizer"]["zero_stage"] = 1
    with pytest.raises(InputError, match=r"key optimizer\.zero_stage is now called training\.zero_stage: rename it"):
        parse_config(yaml.safe_dump(data), source="study.yaml")
