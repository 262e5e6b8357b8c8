"""A study continued to a longer horizon after the fact: its targets' runs go on from their stored trunks."""

from pathlib import Path

from benchmark.config import StudyConfig, validate
from benchmark.errors import InputError
from benchmark.lab.store import Store, lock
from benchmark.session import write_config, write_text
from benchmark.studies import load_study


def extend(folder: Path, tokens: int) -> StudyConfig:
    """Let the study in `folder` read its targets at `tokens` too; returns its config, to be run there.

    What was measured stays; results.json and config.yaml as they were are kept beside the new ones. Raises InputError.
    """
    config = load_study(str(folder / "config.yaml"))
    if not isinstance(config, StudyConfig) or config.simulated is not None:
        raise InputError(f"{folder}: only a trained benchmark can be continued")
    longer = continued(config, tokens)
    if longer != config:
        with lock(folder):
            _keep(folder, config.digest)
            Store.reopen(folder).retarget(longer.digest)
            write_config(longer, folder)
    return longer


def continued(config: StudyConfig, tokens: int) -> StudyConfig:
    """The config with `tokens` among the continued horizons of all targets. Raises InputError where that cannot be."""
    data = config.model_dump(mode="json")
    for rung in data["ladder"]["rungs"]:
        if rung["part"] == "target" and tokens not in rung["continued"]:
            rung["continued"] = [*rung["continued"], tokens]
    return validate(StudyConfig, data, source=f"--tokens {tokens}")


def _keep(folder: Path, digest: str) -> None:
    """Copies named after the config they belong to."""
    for name in ("config.yaml", "results.json"):
        if (folder / name).exists():
            stem, suffix = name.split(".")
            write_text(folder / f"{stem}-{digest}.{suffix}", (folder / name).read_text(encoding="utf-8"))
