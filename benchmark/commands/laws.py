"""Commands for rules, schedules and laws without a study: coordcheck, schedule, fit, replay."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from lrladder.benchmark.commands.options import AsJson, Preset, finite
from lrladder.benchmark.console import make_console
from lrladder.benchmark.reading import printable
from lrladder.benchmark.schedules import DecayShape, Kind
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.paradigms.published import DECAY_FRACTION, POWER_A, POWER_D, POWER_LR_MAX

app = typer.Typer()

Columns = Annotated[
    str | None, typer.Option(help="other names: lr=learning_rate,loss=eval/loss; or one number for all: tokens=1e10")
]


@app.command()
def coordcheck(
    preset: Preset,
    out: Annotated[Path | None, typer.Option(help="write OUT/coordcheck/index.html")] = None,
    steps: Annotated[int, typer.Option(min=1, max=100, help="AdamW steps on one fixed batch")] = 4,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="random initialisations for each size")] = 4,
    as_json: AsJson = False,
) -> None:
    """Check that the muTransfer rules keep activations and updates at one size as a model grows, role by role."""
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


@app.command()
def schedule(
    kind: Annotated[Kind, typer.Argument(help="kind of schedule")],
    tokens: Annotated[float, typer.Option(callback=finite, help="length of the run in tokens")],
    batch_tokens: Annotated[float, typer.Option(callback=finite, help="tokens per step")],
    lr: Annotated[float | None, typer.Option(callback=finite, help="peak LR; use --a for power")] = None,
    warmup_tokens: Annotated[float | None, typer.Option(callback=finite, help="default: 1% of the run")] = None,
    decay_fraction: Annotated[float, typer.Option(help="share of the run; only wsd and power")] = DECAY_FRACTION,
    decay: Annotated[DecayShape, typer.Option(help="shape of the decay; only wsd and power")] = "linear",
    decay_to: Annotated[float, typer.Option(help="LR at the end, as a share of the LR before the decay")] = 0.0,
    a: Annotated[float, typer.Option(callback=finite, help="power: amplitude per 4,096 tokens of batch")] = POWER_A,
    b: Annotated[float, typer.Option(help="power: exponent of the tokens")] = POWER_D,
    lr_max: Annotated[float, typer.Option(callback=finite, help="power: largest LR")] = POWER_LR_MAX,
    points: Annotated[int, typer.Option(min=2, max=100_000)] = 200,
    out: Annotated[Path | None, typer.Option(help="write the drawing to this SVG file")] = None,
    as_json: AsJson = False,
) -> None:
    """Print and draw the LR of a schedule over a run."""
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


@app.command()
def fit(
    runs: Annotated[Path, typer.Argument(help="table of runs with n_params, tokens, lr, loss and optional columns")],
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="folder for results.json and the report")] = None,
    protocol: Annotated[Literal["best", "rule", "fixed"], typer.Option(help="which batch size of a cell")] = "best",
    budget: Annotated[
        float | None,
        typer.Option(callback=finite, help="fit what a search asks for within so many runs of the largest"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit laws of the best learning rate, loss and batch to your own or published runs."""
    from lrladder.benchmark.own_runs.columns import parse_columns
    from lrladder.benchmark.own_runs.fit_file import fit_file, save
    from lrladder.benchmark.own_runs.fit_file import words as law_words
    from lrladder.reports.fit.page import write

    results = fit_file(runs, protocol=protocol, columns=parse_columns(columns), budget=budget)
    page = None
    if out:
        save(results, out)
        page = write(results, out / "report")
    print(json.dumps(results.summary(), indent=2) if as_json else law_words(results))
    if page and not as_json:
        print(printable(f"Report: {page}"))


@app.command()
def replay(
    runs: Annotated[Path, typer.Argument(help="table of runs with n_params, tokens, lr, loss and optional columns")],
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="folder for replay.json and replay.csv")] = None,
    protocol: Annotated[Literal["best", "rule", "fixed"], typer.Option(help="which batch size of a cell")] = "best",
    strategy: Annotated[list[str] | None, typer.Option(help="score only this strategy and fitting; repeatable")] = None,
    budgets: Annotated[
        str | None, typer.Option(help="budgets of a search, in runs of the target, such as 0.05,0.1,1; each is scored")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score methods that choose the LR of large runs from small ones, on runs that already exist."""
    from lrladder.benchmark.own_runs.columns import parse_columns
    from lrladder.benchmark.own_runs.replay import replay as make_replay
    from lrladder.benchmark.own_runs.runs import load_runs
    from lrladder.benchmark.own_runs.ways import parse_budgets
    from lrladder.reports.fit.replay_table import render, require_own, write

    spending = parse_budgets(budgets)
    if out is not None:
        require_own(out)  # refuse before the work, not after
    table = load_runs(runs, parse_columns(columns))
    result = make_replay(table, protocol=protocol, strategies=strategy or (), budgets=spending)
    if out is not None:
        write(result, out)
    if as_json:
        print(result.to_json())
    else:
        render(result, make_console())
