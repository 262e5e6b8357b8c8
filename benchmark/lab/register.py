"""What a study has asked a trainer of the user's own for, and what it was told. Nothing is ever removed from it.

`asked.jsonl` has a line for each reading that was ever asked for. `told.jsonl` has a line for each answer, in order of
arrival. The last result of a reading counts; an answer that replaces another one leaves that in the file. Both files
are replaced atomically, so a kill leaves either all of a call's lines or none.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import require_plain, write_text
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.reading import LOG_BYTES, parse_json, read_text, why
from lrladder.paradigms.lab import Verdict

ID_DIGITS = 10  # of the trunk's id in a name; among 10,000 trunks two are alike with a chance of 5e-5, and are refused


class Reading(NamedTuple):
    """One reading of a trial, at `horizon` tokens, on the rung of that name.

    Trials that differ in their horizons alone share their readings, so its name leaves out the other horizons: a
    reading that two searches want is trained once.
    """

    trial: Trial
    rung: str
    horizon: int

    @property
    def trunk(self) -> str:
        """The name of what is trained before the decay to this horizon."""
        return f"{self.rung}-{self.trial.trunk_id[:ID_DIGITS]}"

    @property
    def name(self) -> str:
        return f"{self.trunk}-{self.horizon}"


class Told(NamedTuple):
    """The answer for one reading. `loss` in nats per token, None unless it finished; `seconds` of training, or None."""

    name: str
    verdict: Verdict
    loss: float | None = None
    seconds: float | None = None
    message: str = ""

    @property
    def is_result(self) -> bool:
        """Whether it ends the reading. One that failed is asked for again."""
        return self.verdict != "failed"

    def says(self, other: "Told") -> bool:
        """Whether both have the same outcome."""
        return (self.verdict, self.loss) == (other.verdict, other.loss)

    @property
    def outcome(self) -> str:
        return self.verdict if self.loss is None else repr(self.loss)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Raises LookupError, TypeError or ValueError for a row that is none of ours."""
        loss, seconds = (None if row[key] is None else float(row[key]) for key in ("loss", "seconds"))
        verdict = str(row["verdict"])
        if verdict not in ("finished", "diverged", "failed") or (verdict == "finished") != (loss is not None):
            raise ValueError(f"verdict {verdict} with loss {loss}")
        return cls(str(row["name"]), verdict, loss, seconds, str(row["message"]))  # type: ignore[arg-type]


class Register:
    """The two files of one study folder. Raises InputError for a line that is damaged."""

    def __init__(self, folder: Path) -> None:
        self._asked_file, self._told_file = folder / "asked.jsonl", folder / "told.jsonl"
        self._asked = dict(map(_asked, _rows(self._asked_file)))  # id of the trunk by name
        self._answers = [_answer(self._told_file, row) for row in _rows(self._told_file)]
        self._last: dict[str, Told] = {}
        self._settle(self._answers)

    def _settle(self, answers: Iterable[Told]) -> None:
        for told in answers:
            before = self._last.get(told.name)
            if told.is_result or before is None or not before.is_result:
                self._last[told.name] = told

    @property
    def asked(self) -> frozenset[str]:
        """The names of all readings that were ever asked for."""
        return frozenset(self._asked)

    def told(self, name: str) -> Told | None:
        """What counts for a reading: its last result, or its last failure while it has no result."""
        return self._last.get(name)

    def ask(self, readings: Iterable[Reading]) -> None:
        """Note readings that are asked for. A known one is not noted again."""
        added: dict[str, str] = {}
        for reading in readings:
            known = (self._asked | added).get(reading.name)
            if known not in (None, reading.trial.trunk_id):
                raise InputError(f"{reading.name}: two runs of the study have this name; change the name of the rung")
            if known is None:
                added[reading.name] = reading.trial.trunk_id
        if added:
            asked = self._asked | added
            _write(self._asked_file, ({"name": name, "trunk_id": trunk} for name, trunk in asked.items()))
            self._asked = asked

    def tell(self, answers: Iterable[Told]) -> None:
        """Note answers, all or none."""
        added = list(answers)
        if added:
            _write(self._told_file, (told._asdict() for told in (*self._answers, *added)))
            self._answers += added
            self._settle(added)


def _asked(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row.get("name")), str(row.get("trunk_id"))


def _answer(path: Path, row: Mapping[str, Any]) -> Told:
    try:
        return Told.of(row)
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path}: a line is none of this program's ({why(error)}); restore the file") from error


def _write(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    write_text(path, "".join(json.dumps({**row, "digest": _digest(row)}) + "\n" for row in rows))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, without their digests; none where there is no file."""
    require_plain(path)
    try:
        lines = read_text(path, LOG_BYTES).splitlines()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({why(error)}); make it readable, or restore it") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            if row.pop("digest") != _digest(row):
                raise ValueError("another digest")
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: line {number} was changed or damaged; restore the file, or remove the line: "
                "what it told can be told again"
            ) from error
        yield row


def _digest(row: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(dict(row), sort_keys=True).encode()).hexdigest()[:16]
