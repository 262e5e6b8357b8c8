"""Commands for rules, schedules and laws without a study: coordcheck, schedule, fit, replay."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from lrladder.benchmark.commands import completion
from lrladder.benchmark.commands.options import AllowImport, AsJson, Preset, finite
from lrladder.benchmark.console import make_console
from lrladder.benchmark.reading import printable
from lrladder.benchmark.schedules import DecayShape, Kind
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.paradigms.published import DECAY_FRACTION, POWER_A, POWER_D, POWER_LR_MAX

app = typer.Typer()

BUDGET = "Fit only the runs that a search within this budget asks for. The budget is in runs of the largest model."
Runs = Annotated[
    Path, typer.Argument(help="A table of training runs with n_params, tokens, lr, loss, and more columns if known.")
]
RunsOrSweep = Annotated[
    Path,
    typer.Argument(
        help="A table of training runs, or a published sweep to fetch: steplaw or openeurollm.",
        autocompletion=completion.sweeps,
    ),
]
Protocol = Annotated[
    Literal["best", "rule", "fixed"],
    typer.Option(
        help="The batch to use where a model has several: its best, the nearest to a fitted rule, or the most common."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="Other names of the columns (lr=learning_rate,loss=eval/loss), or one number for all rows (tokens=1e10)."
    ),
]

Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        help="Score this strategy and fitting, and no others. May be given several times. Write a class of your own "
        "and its settings as package.module:Class,key=value.",
    ),
]


@app.command(epilog="Example: lrladder coordcheck cpu --out runs/check")
def coordcheck(
    preset: Preset,
    out: Annotated[Path | None, typer.Option(help="Write the page OUT/coordcheck/index.html as well.")] = None,
    steps: Annotated[int, typer.Option(min=1, max=100, help="Number of AdamW steps.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Number of seeds for each model size.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Check whether muTransfer's rules keep activations and their updates at one size while a model grows."""
    from lrladder.benchmark.checks.coordcheck import check, render
    from lrladder.benchmark.folders import make_folder
    from lrladder.reports.coordcheck.page import write

    console = make_console()
    if out:
        make_folder(out)  # refuse a bad folder before the work
    progress = (lambda axis: None) if as_json else (lambda axis: console.print(f"Checking {axis} ..."))
    result = check(load_config(preset), steps=steps, seeds=seeds, on_axis=progress)
    page = write(result, out / "coordcheck") if out else None
    if as_json:
        print(json.dumps(result.to_dict()))
    else:
        render(result, page, console)


@app.command(epilog="Example: lrladder schedule power --tokens 1e12 --batch-tokens 4194304")
def schedule(
    kind: Annotated[Kind, typer.Argument(help="The kind of schedule.")],
    tokens: Annotated[float, typer.Option(callback=finite, help="Training tokens of the run.")],
    batch_tokens: Annotated[float, typer.Option(callback=finite, help="Tokens of one training step.")],
    lr: Annotated[float | None, typer.Option(callback=finite, help="Peak LR; power takes --a instead.")] = None,
    warmup_tokens: Annotated[float | None, typer.Option(callback=finite, help="Default: 1% of the run.")] = None,
    decay_fraction: Annotated[float, typer.Option(help="wsd, power: share of the run that decays.")] = DECAY_FRACTION,
    decay: Annotated[DecayShape, typer.Option(help="wsd, power: shape of the decay.")] = "linear",
    decay_to: Annotated[float, typer.Option(help="LR at the end, as a share of the LR before the decay.")] = 0.0,
    a: Annotated[float, typer.Option(callback=finite, help="power: the factor a of the law.")] = POWER_A,
    b: Annotated[float, typer.Option(help="power: the exponent b of the law.")] = POWER_D,
    lr_max: Annotated[float, typer.Option(callback=finite, help="power: the LR never exceeds this.")] = POWER_LR_MAX,
    points: Annotated[int, typer.Option(min=2, max=100_000, help="Number of points to print.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Write the drawing to this SVG file as well.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the LR along a run under a schedule, as points and as a drawing.

    After n tokens, power has the LR a B n^b, where B is the batch in units of 4,096 tokens.
    """
    from lrladder.benchmark.checks.schedule_points import PowerLaw, draw, render
    from lrladder.reports.schedule_figure import require_own, write

    if out:
        require_own(out)

    curve = draw(
        kind,
        tokens=int(tokens),
        batch_tokens=int(batch_tokens),
        lr=lr,
        law=PowerLaw(a, b, lr_max) if kind == "power" else None,
        points=points,
        warmup_tokens=int(warmup_tokens or max(1, tokens // 100)),
        decay_fraction=decay_fraction,
        decay=decay,
        decay_to=decay_to,
    )
    if out:
        write(curve, out)
    if as_json:
        print(json.dumps(curve.to_dict()))
    else:
        render(curve, make_console())


@app.command(epilog="Example: lrladder fit runs.csv --out fitted --columns lr=learning_rate,loss=eval/loss")
def fit(
    runs: Runs,
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results.json and the report.")] = None,
    protocol: Protocol = "best",
    budget: Annotated[
        float | None,
        typer.Option(callback=finite, help=BUDGET),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit laws of the best LR, the loss and the batch to your own runs, or to published ones."""
    from lrladder.benchmark.own_runs.columns import parse_columns
    from lrladder.benchmark.own_runs.fit_file import fit_file, save
    from lrladder.benchmark.own_runs.fit_file import words as law_words
    from lrladder.reports.pages import write_report

    results = fit_file(runs, protocol=protocol, columns=parse_columns(columns), budget=budget)
    page = None
    if out:
        save(results, out)
        page = write_report(results, out)
    print(json.dumps(results.summary(), indent=2) if as_json else law_words(results))
    if page and not as_json:
        print(printable(f"Report: {page}"))


@app.command(epilog="Example: lrladder replay runs.csv --budgets 0.1,1")
def replay(
    runs: RunsOrSweep,
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="Folder for replay.json and replay.csv.")] = None,
    protocol: Protocol = "best",
    strategy: Strategies = None,
    budgets: Annotated[
        str | None,
        typer.Option(
            help="Budgets to score, for example 0.05,0.1,1: the most that a search may cost, in runs of the target."
        ),
    ] = None,
    allow_import: AllowImport = False,
    as_json: AsJson = False,
) -> None:
    """Score strategies that choose the LR of large runs from small ones, on runs that you already have."""
    from lrladder.benchmark.own_runs.columns import parse_columns
    from lrladder.benchmark.own_runs.published_sweeps import BUDGETS, fetched_sweep
    from lrladder.benchmark.own_runs.replay import replay as make_replay
    from lrladder.benchmark.own_runs.runs import load_runs
    from lrladder.benchmark.own_runs.ways import parse_budgets
    from lrladder.reports.fit.replay_table import render, require_own, write

    spending = parse_budgets(budgets)
    if out is not None:
        require_own(out)  # refuse before the work, not after
    sweep = fetched_sweep(runs)
    table = load_runs(runs if sweep is None else sweep.runs, parse_columns(columns))
    chosen: Sequence[str] = strategy or ()
    if sweep is not None:
        table = replace(table, flags=(*table.flags, *sweep.flags))
        chosen, spending = strategy or sweep.strategies, spending or (() if strategy else BUDGETS)
    result = make_replay(table, protocol=protocol, strategies=chosen, budgets=spending, from_here=allow_import)
    if out is not None:
        write(result, out)
    if as_json:
        print(result.to_json())
    else:
        render(result, make_console())
