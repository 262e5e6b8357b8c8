"""Commands for studies whose runs are trained elsewhere: what to train next, and what came of it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lrladder.benchmark.commands.options import AllowImport, Folder
from lrladder.benchmark.console import make_console
from lrladder.benchmark.errors import ExitCode, InputError

if TYPE_CHECKING:
    from lrladder.benchmark.external.verbs import Asked, Taken

app = typer.Typer()


@app.command(epilog="Example: lrladder ask runs/study --out jobs.csv")
def ask(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(help="File for the runs, one a row. Each call replaces it with what is wanted then.")
    ] = None,
    form: Annotated[
        Literal["csv", "jsonl", "sbatch"],
        typer.Option("--format", help="How to write them; `sbatch` is an array of jobs for Slurm."),
    ] = "csv",
    template: Annotated[
        str | None,
        typer.Option(
            help="Your launch line, or a file with it, with columns in braces: 'train.sh {name} --lr {lr_embedding}'."
        ),
    ] = None,
    allow_import: AllowImport = False,
) -> None:
    """Write the runs that a study wants from your own trainer next, for a config with `lab: {kind: external}`.

    Train them wherever you like, tell their losses with `lrladder tell`, and ask again, until no run is wanted.
    """
    from lrladder.benchmark.external import formats
    from lrladder.benchmark.external.verbs import look

    if out is None and (template is not None or form != "csv"):
        raise InputError("--out: name the file that the runs are written to")
    launch = formats.read_template(template)
    asked = look(folder, from_here=allow_import)
    if out is not None:
        formats.write(asked.jobs, out, form, launch)
    raise typer.Exit(_say(asked, folder, out))


@app.command(epilog="Example: lrladder tell runs/study losses.csv --columns loss=eval/loss")
def tell(
    folder: Folder,
    losses: Annotated[
        Path,
        typer.Argument(help="A table with a row per run: CSV, TSV, JSONL, Parquet, or an export of W&B or MLflow."),
    ],
    columns: Annotated[
        str | None,
        typer.Option(
            help="Names of its columns, where they differ from ours: name=run,loss=eval/loss,seconds=Runtime."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take another value for a run that was told before. The old one is kept.")
    ] = False,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out rows whose names the study never asked for.")
    ] = False,
    allow_import: AllowImport = False,
) -> None:
    """Take in the losses of runs that `lrladder ask` asked for, in any order. Nothing is taken in if a row is bad.

    Columns: `name`, `loss` in nats per token (nan for a run that diverged), and where there are `status`, `seconds`
    and `message`.
    """
    from lrladder.benchmark.external.answers import COLUMNS, Answers
    from lrladder.benchmark.external.verbs import take
    from lrladder.benchmark.own_runs.columns import parse_columns

    answers = Answers.of_file(losses, parse_columns(columns, COLUMNS))
    taken = take(folder, answers, replace=replace, ignore_unknown=ignore_unknown, from_here=allow_import)
    make_console().print(f"{'; '.join(_counts(taken))}.", soft_wrap=True, highlight=False)
    raise typer.Exit(_say(taken.asked, folder, None))


def _counts(taken: "Taken") -> Iterator[str]:
    """What came of the rows."""
    yield f"{_number(taken.finished + taken.diverged, 'result')} taken in"
    said = (
        (taken.diverged, f"{taken.diverged:,} of them of runs that diverged"),
        (taken.replaced, f"{taken.replaced:,} of them in the place of earlier ones, which stay in told.jsonl"),
        (taken.failed, f"{_number(taken.failed, 'run')} failed and will be asked for again"),
        (taken.known, f"{_number(taken.known, 'row')} with results that were told before"),
        (taken.not_over, f"{_number(taken.not_over, 'row')} without a loss yet"),
        (taken.ignored, f"{_number(taken.ignored, 'row')} left out, as the names were never asked for"),
    )
    yield from (what for count, what in said if count)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _say(asked: "Asked", folder: Path, out: Path | None) -> ExitCode:
    """Say what to do next."""
    console = make_console()
    for line in next_steps(asked, folder, out):
        console.print(line, soft_wrap=True, highlight=False)
    return ExitCode.FAILED_TRIALS if asked.open_here and not asked.jobs else ExitCode.DONE


def next_steps(asked: "Asked", folder: Path, out: Path | None = None) -> Iterator[str]:
    """What the user does next, one line each."""
    if asked.jobs:
        payers = Counter(payer for job in asked.jobs for payer in job.wanted_by)
        wanted = ", ".join(f"{payer} ({count})" for payer, count in payers.items())
        yield f"Wanted from your trainer: {_number(len(asked.jobs), 'run')}, by {wanted}."
        yield f"They are in {out}." if out else f"Write them with: lrladder ask {folder} --out jobs.csv"
        yield f"Tell their losses with: lrladder tell {folder} losses.csv"
    if asked.open_here:
        number = _number(asked.open_here, "run")
        yield f"To be trained here first: {number}, by lrladder run {folder / 'config.yaml'} --out {folder}"
    if asked.jobs or asked.open_here:
        return
    if asked.missing:
        yield f"No run is wanted. What is missing all the same: {'; '.join(asked.missing)}."
    else:
        yield "No run is wanted: every entry has what it needs."
    yield f"The report: lrladder report {folder}"
