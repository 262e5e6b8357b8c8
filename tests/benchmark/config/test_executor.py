"""The executor of a study: a choice of the config or the command line that changes no number."""

from pathlib import Path
from typing import Any

import pytest

from lrladder.benchmark.config.executor import LOCAL, RayConfig
from lrladder.benchmark.config.text import validate
from lrladder.benchmark.config.training import TrainingConfig, TrainingSettings
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies import executors
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.executors import on_executor
from lrladder.benchmark.studies.kinds import load_study
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.tune import new_budget, tuning_of

SMOKE = load_study("smoke")


def _with(executor: object) -> StudyConfig:
    data = SMOKE.model_dump(mode="json") | {"executor": executor}
    return validate(RegretConfig, data, source="smoke")


def test_local_is_the_default_and_stands_in_no_written_config() -> None:
    assert SMOKE.executor == LOCAL and "executor" not in SMOKE.model_dump()


def test_no_digest_depends_on_the_executor() -> None:
    on_ray = _with({"kind": "ray", "address": "127.0.0.1:6379", "checkpoints": "s3://bucket/study"})
    assert on_ray.digest == SMOKE.digest and on_ray.model_dump()["executor"]["address"] == "127.0.0.1:6379"


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ({"kind": "ray", "adress": "auto"}, "adress; did you mean 'address'"),
        ({"kind": "slurm"}, r"executor: .*'slurm'.*'local', 'hosts', 'ray'"),
        ({"address": "auto"}, "executor: key kind is missing"),
        ({"kind": "ray", "listen": "everywhere"}, "listen: .*'loopback' or 'network'"),
    ],
)
def test_a_wrong_executor_is_one_line_that_names_the_key(executor: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _with(executor)


def test_options_change_what_they_name_and_keep_the_rest() -> None:
    study = _with({"kind": "ray", "address": "127.0.0.1:6379", "listen": "network"})
    assert on_executor(study, None, address=None) is study
    assert on_executor(study, "local").executor == LOCAL
    assert on_executor(study, "ray", address="auto").executor == RayConfig(address="auto", listen="network")
    assert on_executor(SMOKE, "ray").executor == RayConfig()
    with pytest.raises(InputError, match=r"--executor: .*address"):
        on_executor(SMOKE, None, address="auto")  # of what is not said


def test_a_study_that_trains_nothing_takes_no_executor() -> None:
    with pytest.raises(InputError, match="trains no run here; leave out --executor"):
        on_executor(load_study("moe12b"), "ray")  # its losses are simulated


def test_a_tuning_takes_the_executor_over_and_may_change_it(tmp_path: Path) -> None:
    study = tuning_of(_with({"kind": "ray"}), budget=20)
    assert study.executor == RayConfig()
    assert new_budget(tmp_path, study) is None  # nothing is there yet


def test_a_tuning_trains_as_the_study_trains_its_base() -> None:
    """Its trials have the same ids with and without; the settings of other rungs do not matter."""
    rungs = {"p16x2": {"zero_stage": 1}, "t48x4": {"devices": 4}}
    training = {"devices": 2, "recompute": "blocks", "keep_weights": "targets", "rungs": rungs}
    study = validate(RegretConfig, SMOKE.model_dump(mode="json") | {"training": training}, source="smoke")
    tuning, plain = tuning_of(study), tuning_of(SMOKE)
    (rung,) = tuning.rungs
    assert tuning.training_of(rung) == TrainingSettings(devices=2, recompute="blocks", zero_stage=1)
    assert tuning.digest == plain.digest and plain.training == TrainingConfig()
    assert tuning.training.keep_weights == "none"  # it has no targets


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        return None

    monkeypatch.setattr("importlib.util.find_spec", missing)
    site = executors.open_site(RayConfig(), None)
    with pytest.raises(InputError, match=r"needs Ray: pip install .*\[cluster\]"), site:
        pass
