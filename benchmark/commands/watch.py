"""The command `watch`: a log of a large run against the bands that the ladder's own runs expect."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrladder.benchmark.commands.options import AsJson, as_one, finite
from lrladder.benchmark.errors import InputError

if TYPE_CHECKING:
    from lrladder.benchmark.recommend.tripwires import Band

app = typer.Typer()

PAUSE = 30.0  # seconds between two readings of a log that is followed
LEFT_A_BAND = 3  # exit code


@dataclass(frozen=True)
class Options:
    """The options of `lrladder watch`."""

    log: Annotated[Path, typer.Argument(help="The log of the run: JSONL, CSV, or a W&B export.")]
    ladder: Annotated[
        Path,
        typer.Option(help="Runs that say what to expect: a study's folder, or a table of runs with a column `log`."),
    ]
    n_active: Annotated[float, typer.Option(callback=finite, help="Active non-embedding parameters of the run.")]
    tokens: Annotated[float, typer.Option(callback=finite, help="Tokens that the run will train on in all.")]
    batch_tokens: Annotated[
        float | None, typer.Option(callback=finite, help="Tokens of one step. Needed if the log counts steps.")
    ] = None
    columns: Annotated[
        str | None, typer.Option(help="Names of the columns of the log, as in loss=train/loss,tokens=consumed_tokens.")
    ] = None
    ladder_columns: Annotated[
        str | None, typer.Option(help="Names of the columns of the table of --ladder, as for `lrladder fit --columns`.")
    ] = None
    arm: Annotated[
        str | None,
        typer.Option(help="Use only the study's runs under this parametrization and schedule, as in mup+power."),
    ] = None
    follow: Annotated[bool, typer.Option("--follow", help="Read the log again until the run has ended.")] = False
    as_json: AsJson = False


@app.command(
    epilog="Example: lrladder watch train.jsonl --ladder runs/cpu --n-active 1e6 --tokens 1e9 --batch-tokens 65536"
)
@as_one(Options)
def watch(options: Options) -> None:
    """Print one line when the loss or the gradient norm of a run leaves the band that smaller runs predict.

    The bands are 99% intervals at 1, 5 and 20% of the run. Exit code 3 means that the run left a band.
    """
    from lrladder.benchmark.recommend.run_log import read_run_log
    from lrladder.benchmark.recommend.tripwires import departures, described

    own, bands = parse_log_columns(options.columns), _bands(options)
    if not options.as_json:
        print("\n".join(described(bands)))

    def said() -> tuple[list[str], bool]:
        found = read_run_log(options.log, columns=own, batch_tokens=options.batch_tokens)
        ended = bool(found.tokens[-1] >= options.tokens * (1 - 1e-9))
        return list(departures(found, bands, tokens=options.tokens)), ended or not options.follow

    say = _silent if options.as_json else _aloud
    lines = follow_log(said, wait=lambda: time.sleep(PAUSE), say=say)
    if options.as_json:
        print(json.dumps({"bands": [band.model_dump() for band in bands], "left": lines}))
    elif not lines:
        print("The run has left no band.")
    if lines:
        raise typer.Exit(LEFT_A_BAND)


def _bands(options: Options) -> tuple["Band", ...]:
    from lrladder.benchmark.own_runs.columns import parse_columns
    from lrladder.benchmark.recommend.ladder_logs import ladder_of
    from lrladder.benchmark.recommend.tripwires import bands_of

    logs = ladder_of(options.ladder, columns=parse_columns(options.ladder_columns), arm=options.arm)
    bands = bands_of(logs, n_active=options.n_active, tokens=options.tokens)
    if not bands:
        why = "fewer than 3 logs have a row near 1, 5 or 20% of their run; take longer runs, or log more often"
        raise InputError(f"{options.ladder}: {why}")
    return bands


def parse_log_columns(text: str | None) -> dict[str, str]:
    """`loss=train/loss` as a mapping. Raises InputError."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for name, equals, theirs in pairs:
        if not equals or not theirs.strip():
            raise InputError(f"--columns {name}: write name=column, as in loss=train/loss")
    return {name.strip(): theirs.strip() for name, _, theirs in pairs}


def follow_log(
    said: Callable[[], tuple[list[str], bool]], *, wait: Callable[[], None], say: Callable[[str], None]
) -> list[str]:
    """Ask `said` for all lines so far, and `say` each new one, until the run has ended. Returns all lines.

    `said` also returns whether the run has ended. `wait` pauses between two readings.
    """
    told: list[str] = []
    while True:
        lines, ended = said()
        for line in lines[len(told) :]:
            say(line)
            told.append(line)
        if ended:
            return told
        wait()


def _aloud(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    pass
