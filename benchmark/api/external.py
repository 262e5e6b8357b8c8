"""The two verbs of a study whose runs are trained elsewhere: what it wants next, and what came of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Union

from lrladder.benchmark.api.spoken import spoken
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.external import verbs
from lrladder.benchmark.external.answers import COLUMNS, Answers
from lrladder.benchmark.external.jobs import Job
from lrladder.benchmark.external.verbs import Taken
from lrladder.benchmark.own_runs.columns import known_columns

if TYPE_CHECKING:
    import pandas as pd


@spoken
def ask(folder: str | Path, *, allow_import: bool = False) -> list[Job]:
    """The runs that the study in `folder` wants from your trainer next; none when it has all. Raises InputError.

    `job.row` has all that a trainer needs by column, so `pd.DataFrame([job.row for job in jobs])` is a table.
    """
    return list(verbs.look(Path(folder), from_here=allow_import).jobs)


@spoken
def tell(
    folder: str | Path,
    losses: Union[str, Path, "pd.DataFrame", Iterable[Mapping[str, object]]],
    *,
    columns: Mapping[str, str] | None = None,
    replace: bool = False,
    ignore_unknown: bool = False,
    allow_import: bool = False,
) -> Taken:
    """Take in losses by the names of their jobs: rows, a frame, or a file. Nothing is taken in if a row is bad.

    A row has `name` and `loss` (nats per token; nan for a run that diverged), and may have `status`, `seconds` and
    `message`. `columns` maps these names to yours. `replace` takes another value for a run whose value is known, and
    `ignore_unknown` leaves out rows that the study never asked for. The counts that come back say what was done, and
    `asked.jobs` what is wanted now. Raises InputError.
    """
    chosen = known_columns(columns or {}, COLUMNS)
    if isinstance(losses, str | Path):
        answers = Answers.of_file(Path(losses), chosen)
    else:
        answers = Answers.of_rows(_rows(losses, chosen), chosen)
    return verbs.take(Path(folder), answers, replace=replace, ignore_unknown=ignore_unknown, from_here=allow_import)


def _rows(
    losses: Union["pd.DataFrame", Iterable[Mapping[str, object]]], columns: Mapping[str, str]
) -> Iterable[Mapping[str, object]]:
    """The rows of a frame, without the values that it has not. Raises InputError for a missing loss without a status.

    In a frame NaN may be a loss that was logged, or one that is not there yet, and only the first is a result.
    """
    import pandas as pd

    if not isinstance(losses, pd.DataFrame):
        return losses
    rows = [
        {str(name): value for name, value in row.items() if not pd.isna(value)} for row in losses.to_dict("records")
    ]
    loss, status = (columns.get(name, name) for name in ("loss", "status"))
    for place, row in enumerate(rows, start=1):
        if loss in losses.columns and loss not in row and not row.get(status):
            raise InputError(
                f"row {place}: its {loss} is NaN, which in a DataFrame says nothing; add a column status with diverged "
                "for a run that diverged, and running for one that is not over"
            )
    return rows
