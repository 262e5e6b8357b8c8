"""Reads what `lrladder status` needs of a results.json, without its measurements, of which there may be 100,000."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import CONFIG_BYTES, RESULTS_BYTES, open_for_reading, parse_json, read_text, why
from lrladder.benchmark.studies.counts import TrialCounts
from lrladder.benchmark.studies.kinds import KINDS
from lrladder.paradigms.lab import Measurement

START_BYTES = 8 * 2**20  # read from the start; assumption: 256 rungs need 1 MiB before the measurements begin
END_BYTES = 4 * CONFIG_BYTES  # read from the end: config, corpus and environment follow the measurements
MEASUREMENTS, CONFIG = '\n  "measurements": [', '\n  "config": {'  # as `StudyResults.to_json` writes these keys


class Written(BaseModel):
    """The part of results.json that is read here."""

    complete: bool = False
    missing: tuple[str, ...] = ("results.json: not written yet",)
    trials: TrialCounts = TrialCounts()
    config_digest: str = ""
    config: Any = None
    corpus: dict[str, object] = {}
    environment: dict[str, str] = {}
    measurements: tuple[dict[str, Any], ...] = ()  # read only where there are no logs


def read_written(folder: Path, *, with_measurements: bool) -> tuple[Written, int]:
    """results.json of any kind, and the time it was written in ns, 0 if there is none yet. Raises InputError."""
    path = folder / "results.json"
    try:
        data = None if with_measurements else _without_measurements(path)
        data = parse_json(read_text(path, RESULTS_BYTES)) if data is None else data
        data = upgrade.results(data) if isinstance(data, dict) else {}
        if data.get("schema") not in {kind.schema for kind in KINDS.values()}:
            raise ValueError("not of a study")
        return Written.model_validate(data), path.stat().st_mtime_ns
    except FileNotFoundError:
        return Written(), 0
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InputError:
    """The refusal of a damaged results.json."""
    return InputError(f"{path} cannot be read ({why(error)}); run `lrladder run` again to write it from the store")


def absent(folder: Path) -> InputError:
    """The refusal of a folder without results."""
    return InputError(f"{folder / 'results.json'} does not exist; run `lrladder run PRESET --out {folder}` first")


def _without_measurements(path: Path) -> dict[str, Any] | None:
    """The document with an empty list in place of its measurements; None if its layout is not the current one."""
    with open_for_reading(path) as file:
        head = file.read(START_BYTES).decode("utf-8", errors="replace")
        file.seek(max(0, path.stat().st_size - END_BYTES))
        tail = file.read().decode("utf-8", errors="replace")
    before, found, _ = head.partition(MEASUREMENTS)
    _, also_found, after = tail.rpartition(CONFIG)
    if not (found and also_found):
        return None
    data = parse_json(f"{before}{MEASUREMENTS}],{CONFIG}{after}")
    is_current = isinstance(data, dict) and data.get("schema") in {kind.schema for kind in KINDS.values()}
    return data if is_current else None


def simulated_measurements(written: Written, folder: Path) -> list[Measurement]:
    """The measurements of a simulated study, which has no logs. Raises InputError."""
    try:
        return [Measurement.model_validate(m) for m in written.measurements]
    except ValueError as error:
        raise InputError(f"{folder / 'results.json'}: measurements cannot be read ({why(error)})") from error
