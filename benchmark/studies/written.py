"""Reads what `lrladder status` needs of a results.json, without its measurements, of which there may be 100,000."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import why
from lrladder.benchmark.studies.counts import TrialCounts
from lrladder.benchmark.studies.kinds import is_schema
from lrladder.benchmark.studies.layout import laid_out, pieces, read_whole
from lrladder.paradigms.lab import Measurement


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
        data = _document(path, with_measurements=with_measurements)
        data = upgrade.results(data) if isinstance(data, dict) else {}
        if not is_schema(data.get("schema")):
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


def _document(path: Path, *, with_measurements: bool) -> Any:
    """The document in the file, with an empty list in place of its readings if these are not asked for."""
    laid = laid_out(path)
    if laid is None or not is_schema(laid.document.get("schema")):
        return read_whole(path)
    readings = [reading for piece in pieces(path, laid) for reading in piece] if with_measurements else []
    return {**laid.document, "measurements": readings}


def simulated_measurements(written: Written, folder: Path) -> list[Measurement]:
    """The measurements of a simulated study, which has no logs. Raises InputError."""
    try:
        return [Measurement.model_validate(m) for m in written.measurements]
    except ValueError as error:
        raise InputError(f"{folder / 'results.json'}: measurements cannot be read ({why(error)})") from error
