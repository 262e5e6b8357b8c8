"""The registry of all kinds of study, by their name in a config."""

from pathlib import Path
from typing import Any

from lrladder.benchmark import upgrade
from lrladder.benchmark.config.text import parse_yaml, read_preset, suggest, validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.registry import Registry
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kind import StudyKind
from lrladder.benchmark.studies.planner import Plan, num_runs, plan_sweeps
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.unused import require_used
from lrladder.benchmark.training.gpus import Gpus

AnyKind = StudyKind[Any, Any]
KINDS: Registry[AnyKind] = Registry(
    {  # the most common kind is first, as a search ends at the kind that it finds
        REGRET.name: "lrladder.benchmark.studies.regret.kind:REGRET",
        "axes": "lrladder.benchmark.studies.drift.kind:DRIFT",
        "power": "lrladder.benchmark.studies.schedules.kind:SCHEDULES",
        "recipe": "lrladder.benchmark.studies.recipe.kind:TUNING",
    }
)


def load_study(preset: str) -> StudyConfig:
    """The config of a preset or YAML file. Raises InputError with one line that names the key."""
    return parse_study(read_preset(preset), source=preset)


def parse_study(text: str, *, source: str) -> StudyConfig:
    """The config in a YAML text, whose origin messages call `source`. Raises InputError as `load_study`."""
    config = _study(parse_yaml(text, source=source), source=source)
    require_used(config, source=source)
    return config


def load_stored_study(folder: Path) -> StudyConfig:
    """The config of the study in a folder, of any version. Raises InputError as `load_study`."""
    source = str(folder / "config.yaml")
    return _study(upgrade.config(parse_yaml(read_preset(source), source=source)), source=source)


def _study(data: dict[str, Any], *, source: str) -> StudyConfig:
    name = data.get("kind", REGRET.name)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"{source}: kind: there is no kind of study {name!r}{suggest(str(name), list(KINDS))}")
    config: StudyConfig = validate(
        kind.config_model, {key: value for key, value in data.items() if key != "kind"}, source=source
    )
    return config


def kind_of(config: StudyConfig) -> AnyKind:
    """The kind of study that a config is for."""
    return next(kind for kind in KINDS.values() if isinstance(config, kind.config_model))


def is_schema(name: object) -> bool:
    """Whether this is the name of the schema of a kind of study, in this version."""
    return any(kind.schema == name for kind in KINDS.values())


def plan_of(
    config: StudyConfig,
    *,
    corpus_tokens: int | None = None,
    workers: int = 1,
    flops_per_second: float | None = None,
    gpus: Gpus | None = None,
) -> Plan:
    """The plan of a study: for workers that sustain `flops_per_second` in bf16, for `gpus`, else for CPU cores in fp32.

    With `gpus`, each run uses all of them, with the cheapest settings that fit.
    """
    kind = kind_of(config)
    notes, longest = kind.notes(config), config.longest_horizon
    if corpus_tokens is not None and longest > corpus_tokens:
        notes = (*notes, f"the longest horizon, {longest:,} tokens, repeats the corpus of {corpus_tokens:,} tokens")
    return plan_sweeps(
        config, kind.sweeps(config), notes=notes, workers=workers, flops_per_second=flops_per_second, gpus=gpus
    )


def num_runs_of(config: StudyConfig) -> tuple[int, int]:
    """The number of runs in the plan of a study: without extensions, and with all of them."""
    return num_runs(kind_of(config).sweeps(config))
