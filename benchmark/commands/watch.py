"""The command `watch`: a log of a large run against the bands that the ladder's own runs expect."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from lrladder.benchmark.commands.options import AsJson, finite
from lrladder.benchmark.errors import InputError

app = typer.Typer()

PAUSE = 30.0  # seconds between two readings of a log that is followed
LEFT_A_BAND = 3  # exit code


@app.command()
def watch(
    log: Annotated[Path, typer.Argument(help="The log of the run: JSONL, CSV, or a W&B export.")],
    ladder: Annotated[
        Path,
        typer.Option(help="Whose logs say what to expect: a study's folder, or a table of runs with a column `log`."),
    ],
    n_active: Annotated[float, typer.Option(callback=finite, help="Active non-embedding parameters of the run.")],
    tokens: Annotated[float, typer.Option(callback=finite, help="Tokens that the run will train on in all.")],
    batch_tokens: Annotated[
        float | None, typer.Option(callback=finite, help="Tokens of one step. Needed if the log counts steps.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Names of the log's columns, as in loss=train/loss,tokens=consumed_tokens.")
    ] = None,
    ladder_columns: Annotated[
        str | None, typer.Option(help="Names of the ladder table's columns, as for `lrladder fit --columns`.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option(help="Take only the study's runs under this parametrization, as in mup+power.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Read the log again until the run has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say in one line when the loss or the gradient norm of a run leaves the band that the ladder expects.

    The bands stand at 1, 5 and 20% of the run and hold for 99% of healthy runs. Exit code 3: the run left a band.
    """
    from lrladder.benchmark.own_runs.columns import parse_columns
    from lrladder.benchmark.recommend.ladder_logs import ladder_of
    from lrladder.benchmark.recommend.run_log import read_run_log
    from lrladder.benchmark.recommend.tripwires import bands_of, departures, described

    own = parse_log_columns(columns)
    bands = bands_of(
        ladder_of(ladder, columns=parse_columns(ladder_columns), arm=arm), n_active=n_active, tokens=tokens
    )
    if not bands:
        raise InputError(
            f"{ladder}: fewer than 3 logs have a row near 1, 5 or 20% of their run; take longer runs, or log more often"
        )
    if not as_json:
        print("\n".join(described(bands)))

    def said() -> tuple[list[str], bool]:
        found = read_run_log(log, columns=own, batch_tokens=batch_tokens)
        return list(departures(found, bands, tokens=tokens)), bool(found.tokens[-1] >= tokens * (1 - 1e-9))

    lines = follow_log(said, wait=lambda: time.sleep(PAUSE), say=_say(as_json)) if follow else _once(said, as_json)
    if as_json:
        print(json.dumps({"bands": [band.model_dump() for band in bands], "left": lines}))
    elif not lines:
        print("The run has left no band.")
    if lines:
        raise typer.Exit(LEFT_A_BAND)


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
    """All lines; each is said once, when it first appears. Ends with the run."""
    told: list[str] = []
    while True:
        lines, ended = said()
        for line in lines[len(told) :]:
            say(line)
            told.append(line)
        if ended:
            return told
        wait()


def _once(said: Callable[[], tuple[list[str], bool]], as_json: bool) -> list[str]:
    lines, _ = said()
    for line in lines:
        _say(as_json)(line)
    return lines


def _say(as_json: bool) -> Callable[[str], None]:
    return (lambda line: None) if as_json else (lambda line: print(line, flush=True))
