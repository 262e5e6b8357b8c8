"""The two verbs of a study whose runs are trained elsewhere: `ask` for the runs that it wants, `tell` it the losses.

Both go on with the study as far as its results allow, and write results.json. Either may be killed and repeated.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.external.answers import Answers, Row
from lrladder.benchmark.external.jobs import Job
from lrladder.benchmark.lab.register import Register, Told
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kinds import kind_of, load_stored_study
from lrladder.benchmark.studies.runner import Ended, run_stored

NAMED = 3  # unknown runs that a message names


class Asked(NamedTuple):
    """`jobs` for the user's own trainer; `open_here`: number of runs that `lrladder run` has to train first.

    `missing` has what results.json misses, in words; nothing when the study is complete.
    """

    jobs: tuple[Job, ...]
    open_here: int
    missing: tuple[str, ...]

    @classmethod
    def of(cls, ended: Ended[Any]) -> "Asked":
        """Raises InputError, or KeyboardInterrupt, if the study was stopped before it came to its end."""
        if ended.stopped:
            raise InputError(f"stopped: {ended.stopped}; what was told is kept: make room, and repeat the command")
        if ended.interrupted:
            raise KeyboardInterrupt
        missing = ended.results.missing if ended.results is not None else ()
        return cls(tuple(map(Job.of, ended.wanted)), ended.open_here, missing)


class Taken(NamedTuple):
    """What `tell` did with its rows, as counts, and what the study wants now."""

    asked: Asked
    finished: int = 0
    diverged: int = 0
    failed: int = 0  # they are asked for again
    replaced: int = 0  # of those that finished or diverged
    known: int = 0  # that were told before, with the same value
    not_over: int = 0  # without a loss, or with a status that says so
    ignored: int = 0  # that were never asked for


def look(folder: Path, *, from_here: bool = False) -> Asked:
    """What the study wants. `from_here`: entries may import classes from the working directory. Raises InputError."""
    return Asked.of(run_stored(_study(folder, from_here=from_here), folder))


def take(folder: Path, answers: Answers, *, replace: bool, ignore_unknown: bool, from_here: bool = False) -> Taken:
    """Take in losses by the names of their jobs. Nothing is taken in if a row is bad. Raises InputError.

    `replace`: a row may give another value for a run whose value is known. `ignore_unknown`: skip rows with names that
    the study never asked for.
    """
    study, counts = _study(folder, from_here=from_here), dict[str, int]()
    taking = partial(_take, answers=answers, replace=replace, ignore_unknown=ignore_unknown, counts=counts)
    return Taken(Asked.of(run_stored(study, folder, taking)), **counts)


def _study(folder: Path, *, from_here: bool) -> StudyConfig:
    if not (folder / "config.yaml").is_file():
        raise InputError(f"{folder}: holds no study; run `lrladder run STUDY.yaml --out {folder}` first")
    config = load_stored_study(folder)
    kind_of(config).require_classes(config, from_here=from_here)
    return config


def _take(register: Register, *, answers: Answers, replace: bool, ignore_unknown: bool, counts: dict[str, int]) -> None:
    """Check all rows, then note what is new, at once. `counts` gets the numbers of `Taken`."""
    rows = [row for row in answers.rows if row.name in register.asked]
    if len(rows) < len(answers.rows) and not ignore_unknown:
        raise _unknown(answers, register)
    told = list(_of_file(answers, rows))
    new = [one for one in told if _is_new(answers, one, register, replace=replace)]
    replaced = [one for one in new if one.told.is_result and _result(register, one.told.name) is not None]
    register.tell(one.told for one in new)
    for verdict in ("finished", "diverged", "failed"):
        counts[verdict] = sum(one.told.verdict == verdict for one in new)
    over = {one.told.name for one in told}
    counts |= {"replaced": len(replaced), "known": len(told) - len(new), "ignored": len(answers.rows) - len(rows)}
    counts["not_over"] = len({row.name for row in rows} - over)


class _Row(NamedTuple):
    row: Row
    told: Told


def _of_file(answers: Answers, rows: Iterable[Row]) -> Iterator[_Row]:
    """One for each run of a table, in any order of its rows: its result, else its failure.

    Raises InputError for a run with two results.
    """
    found: dict[str, _Row] = {}
    for row in rows:
        told = answers.told(row)
        if told is None:
            continue
        before = found.get(row.name)
        if before is not None and before.told.is_result and told.is_result and not told.says(before.told):
            both = f"{told.outcome} here and {before.told.outcome} in row {before.row.place}"
            raise answers.refuse(row, f"the file has two results for it, {both}; keep one of them")
        if before is None or not before.told.is_result:
            found[row.name] = _Row(row, told)
    yield from found.values()


def _is_new(answers: Answers, one: _Row, register: Register, *, replace: bool) -> bool:
    """Whether a row says what is not known yet. Raises InputError for another value of a run, unless it may replace."""
    known = register.told(one.told.name)
    if known is None or (one.told.is_result and not known.is_result):
        return True
    if one.told.is_result and not one.told.says(known) and not replace:
        why = f"{one.told.outcome} here, but it was told as {known.outcome} before; --replace takes the new value"
        raise answers.refuse(one.row, f"{why} and keeps the old one on record")
    if not one.told.is_result:  # a failure takes no result back
        return not known.is_result and one.told.message != known.message
    return not one.told.says(known)


def _result(register: Register, name: str) -> Told | None:
    known = register.told(name)
    return known if known is not None and known.is_result else None


def _unknown(answers: Answers, register: Register) -> InputError:
    unknown = [row for row in answers.rows if row.name not in register.asked]
    names = ", ".join(f"{row.name or 'no name'} (row {row.place})" for row in unknown[:NAMED])
    more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
    return InputError(
        f"{answers.source}: never asked for: {names}{more}; correct the names, or leave these rows out by "
        "--ignore-unknown"
    )
