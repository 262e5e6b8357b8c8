"""The `lrladder` command. Exit codes: 0 done, 2 bad input, 3 some trials failed, 130 interrupted."""

import io
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.axes.config import AxesConfig
from benchmark.config import StudyConfig, load_config, preset_names
from benchmark.console import make_console
from benchmark.errors import InputError
from benchmark.schedules import POWER_A, POWER_B, POWER_LR_MAX, DecayShape, Kind
from benchmark.studies import load_study, schema_of

app = typer.Typer(
    name="lrladder",
    help="Which learning rate for a large MoE, and which way of finding it can be trusted at that scale.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Preset = Annotated[str, typer.Argument(help=f"a preset ({', '.join(preset_names())}) or a YAML file")]
Folder = Annotated[Path, typer.Argument(help="the folder of a study: OUT of make benchmark")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]
OWN = "your own model: what is left out is the ladder's"


def _finite(param: typer.CallbackParam, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise InputError(f"{param.opts[0]} {value:g}: must be above zero and finite")
    return value


Size = Annotated[int | None, typer.Option(min=1, rich_help_panel=OWN)]
Workers = Annotated[int | None, typer.Option(min=1, help="worker processes (default: one per core, or one per GPU)")]


@app.command()
def plan(preset: Preset, workers: Workers = None, as_json: AsJson = False) -> None:
    """Every trial with its tokens, FLOPs, memory and time, before anything runs."""
    from benchmark.environment import default_workers
    from benchmark.planner import render
    from benchmark.plans import plan_of

    made = plan_of(load_study(preset), workers=workers or default_workers())
    if as_json:
        print(made.to_json())
    else:
        render(made, make_console())


@app.command()
def run(
    preset: Preset,
    out: Annotated[Path, typer.Option(help="where results go; an interrupted study continues there")],
    workers: Workers = None,
    log: Annotated[
        list[str] | None, typer.Option(help="copy the trial logs to tensorboard or wandb too; repeatable")
    ] = None,
) -> None:
    """Search, propose, validate, sweep the oracle, report. Continues whatever OUT already holds."""
    from benchmark import loggers
    from benchmark.axes.runner import run_drift_study
    from benchmark.power.runner import run_power_study
    from benchmark.runner import run_benchmark

    study = load_study(preset)
    if log:
        if isinstance(study, StudyConfig) and study.simulated is not None:
            raise InputError(f"--log: {preset} is simulated, nothing is trained that could be logged")
        loggers.choose(log)
    if isinstance(study, StudyConfig):
        raise typer.Exit(run_benchmark(study, out, workers=workers))
    if isinstance(study, AxesConfig):
        raise typer.Exit(run_drift_study(study, out, workers=workers))
    raise typer.Exit(run_power_study(study, out, workers=workers))


@app.command()
def extend(
    folder: Folder,
    tokens: Annotated[int, typer.Option(min=1, help="a longer horizon, to be read at every target")],
    workers: Workers = None,
) -> None:
    """Continue a study's target runs to a longer horizon from their stored trunks, and report."""
    from benchmark.extension import extend as run_longer

    raise typer.Exit(run_longer(folder, tokens, workers=workers))


@app.command()
def status(
    folder: Folder,
    watch: Annotated[bool, typer.Option("--watch", help="a live view until the study has ended, or Ctrl-C")] = False,
    as_json: AsJson = False,
) -> None:
    """How far a study is: trials by verdict, what runs now, the best LRs so far, and what is missing."""
    from benchmark import status as views
    from benchmark.live import Watcher

    watcher = Watcher(folder)
    if watch:
        views.watch(watcher, make_console())
        return
    now = watcher.look()
    if as_json:
        print(json.dumps(now.to_dict()))
    else:
        make_console().print(views.view(now, time.time()))


@app.command()
def report(
    folder: Folder,
    pdf: Annotated[bool, typer.Option("--pdf", help="print it to report/report.pdf too, through Chromium")] = False,
) -> None:
    """Write the report again from stored results."""
    from reports import rewrite
    from reports.pdf import print_page, require_browser

    browser = require_browser() if pdf else None  # refuse before the work, not after
    page = rewrite.write(folder)
    print(page)
    if browser:
        print(print_page(page, browser))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="folders of studies, two or more")],
    out: Annotated[Path | None, typer.Option(help="write OUT/index.html")] = None,
) -> None:
    """Several studies side by side: scores, verdicts, and what differs between them."""
    from reports import compare_page, owned_page, side_by_side

    if out:
        owned_page.require_own(out, compare_page.COMMAND)
    comparison = side_by_side.load(folders)
    console = make_console()
    compare_page.show(comparison, console)
    if out:
        console.print(f"Page: {compare_page.write(comparison, out)}", soft_wrap=True, markup=False)


@app.command()
def index(folder: Annotated[Path, typer.Argument(help="the folder that your studies are in")]) -> None:
    """A page of links to all reports below a folder: FOLDER/index.html."""
    from reports.index_page import write

    page, count = write(folder)
    print(f"{page}: {count} listed")


@app.command()
def coordcheck(
    preset: Preset,
    out: Annotated[Path | None, typer.Option(help="write OUT/coordcheck/index.html")] = None,
    steps: Annotated[int, typer.Option(min=1, max=100, help="AdamW steps on the one batch")] = 4,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="initialisations of each size")] = 4,
    as_json: AsJson = False,
) -> None:
    """Whether the muTransfer rules keep activations and updates at one size, with slopes and a verdict per role."""
    from benchmark.coordcheck import check, render
    from benchmark.session import make_folder
    from reports.coordcheck_page import write

    console = make_console()
    if out:
        make_folder(out)  # refuse before the work, not after
    progress = (lambda axis: None) if as_json else (lambda axis: console.print(f"Checking {axis} ..."))
    result = check(load_config(preset), steps=steps, seeds=seeds, on_axis=progress)
    page = write(result, out / "coordcheck") if out else None
    if as_json:
        print(json.dumps(result.to_dict()))
    else:
        render(result, page, console)


@app.command()
def schedule(
    kind: Annotated[Kind, typer.Argument(help="the shape")],
    tokens: Annotated[float, typer.Option(callback=_finite, help="the run's length")],
    batch_tokens: Annotated[int, typer.Option(help="tokens of one step")],
    lr: Annotated[float | None, typer.Option(callback=_finite, help="the peak; power has --a instead")] = None,
    warmup_tokens: Annotated[float | None, typer.Option(callback=_finite, help="1% of the run without")] = None,
    decay_fraction: Annotated[float, typer.Option(help="of the run; wsd and power")] = 0.2,
    decay: Annotated[DecayShape, typer.Option(help="its shape; wsd and power")] = "linear",
    decay_to: Annotated[float, typer.Option(help="what is left of the LR at the end, as a part")] = 0.0,
    a: Annotated[float, typer.Option(callback=_finite, help="power: per sequence of 4,096 tokens a batch")] = POWER_A,
    b: Annotated[float, typer.Option(help="power: exponent of tokens")] = POWER_B,
    lr_max: Annotated[float, typer.Option(callback=_finite, help="power: its cap")] = POWER_LR_MAX,
    points: Annotated[int, typer.Option(min=2, max=100_000)] = 200,
    out: Annotated[Path | None, typer.Option(help="write the drawing to this SVG file")] = None,
    as_json: AsJson = False,
) -> None:
    """The LR at every token of a run under a schedule: points, and a drawing."""
    from benchmark.schedule_points import PowerLaw, draw, render
    from benchmark.session import write_text
    from reports.schedule_figure import figure

    curve = draw(
        kind,
        tokens=int(tokens),
        batch_tokens=batch_tokens,
        lr=lr,
        law=PowerLaw(a, b, lr_max) if kind == "power" else None,
        points=points,
        warmup_tokens=int(warmup_tokens or max(1, tokens // 100)),
        decay_fraction=decay_fraction,
        decay=decay,
        decay_to=decay_to,
    )
    if out:
        write_text(out, figure(curve))
    if as_json:
        print(json.dumps(curve.to_dict()))
    else:
        render(curve, make_console())


@app.command()
def recommend(
    folder: Folder,
    n_params: Annotated[
        float | None, typer.Option(callback=_finite, help="of a fit: non-embedding parameters, as in its CSV")
    ] = None,
    rung: Annotated[str | None, typer.Option(help="a rung of the study's ladder")] = None,
    width: Size = None,
    depth: Size = None,
    head_size: Size = None,
    num_experts: Size = None,
    top_k: Size = None,
    expert_width: Size = None,
    shared_width: Annotated[int | None, typer.Option(min=0, rich_help_panel=OWN)] = None,
    vocab_size: Size = None,
    seq_len: Size = None,
    n_active: Annotated[float | None, typer.Option(callback=_finite, help="active non-embedding parameters")] = None,
    tokens: Annotated[
        float | None, typer.Option(callback=_finite, help="training tokens; a rung's longest horizon without")
    ] = None,
    batch_tokens: Annotated[
        float | None, typer.Option(callback=_finite, help="tokens per step (default: as in the study)")
    ] = None,
    paradigm: Annotated[
        Literal["fitting", "mutransfer", "mutransfer+power", "mutransfer+modules"] | None, typer.Option(help="whose LR")
    ] = None,
    form: Annotated[Literal["torch", "deepspeed", "json"], typer.Option("--format")] = "json",
    as_json: AsJson = False,
) -> None:
    """LR, interval and what weakens it: by the law of a fit, or with the recipe by role of a study's paradigm."""
    from benchmark.fit import SCHEMA as FIT_SCHEMA
    from benchmark.fit_runner import load_fit
    from benchmark.recipe_export import Wanted, advise
    from benchmark.recipe_formats import text
    from benchmark.recommend import Target, words
    from benchmark.recommend import recommend as recommend_from_fit
    from benchmark.runner import load_results

    if schema_of(folder) == FIT_SCHEMA:
        if n_params is None or tokens is None:
            raise InputError(f"{folder} holds a fit: give --n-params and --tokens, counted as in its CSV")
        if rung or paradigm or width or depth:
            raise InputError(f"{folder} holds a fit: --rung, --paradigm and sizes are for the folder of a study")
        found = recommend_from_fit(load_fit(folder), Target(n_params, tokens, n_active, batch_tokens))
        print(found.to_json() if as_json else words(found))
        return
    if n_params is not None:
        raise InputError(f"--n-params is for a folder of `lrladder fit`; for the study in {folder} give --n-active")

    given = {
        "width": width,
        "depth": depth,
        "head_size": head_size,
        "num_experts": num_experts,
        "top_k": top_k,
        "expert_width": expert_width,
        "shared_width": shared_width,
        "vocab_size": vocab_size,
        "seq_len": seq_len,
    }
    sizes = {name: size for name, size in given.items() if size is not None}
    counts = (round(count) if count else None for count in (n_active, tokens, batch_tokens))
    wanted = Wanted(paradigm, rung, sizes, *counts)
    print(text(advise(load_results(folder), wanted), "json" if as_json else form))


@app.command()
def fit(
    runs: Annotated[Path, typer.Argument(help="CSV of runs: n_params, tokens, lr, loss and what else is known")],
    out: Annotated[Path | None, typer.Option(help="folder for results.json and the report")] = None,
    protocol: Annotated[Literal["best", "rule", "fixed"], typer.Option(help="which batch size of a cell")] = "best",
    as_json: AsJson = False,
) -> None:
    """Laws of the best learning rate, loss and batch from your own or published runs."""
    from benchmark.fit_runner import fit_file, save
    from benchmark.fit_runner import words as law_words

    results = fit_file(runs, protocol=protocol)
    page = save(results, out) if out else None
    print(json.dumps(results.summary(), indent=2) if as_json else law_words(results))
    if page and not as_json:
        print(f"Report: {page}")


@app.command()
def replay(
    runs: Annotated[
        Path, typer.Argument(help="CSV of training runs: n_params, tokens, lr, loss and what else is known")
    ],
    out: Annotated[Path | None, typer.Option(help="folder for replay.json and replay.csv")] = None,
    protocol: Annotated[Literal["best", "rule", "fixed"], typer.Option(help="which batch size of a cell")] = "best",
    strategy: Annotated[list[str] | None, typer.Option(help="score this one and fitting alone; repeatable")] = None,
    as_json: AsJson = False,
) -> None:
    """Score ways of choosing the LR of large runs from small ones, on runs that were made before."""
    from benchmark.replay import replay as make_replay
    from benchmark.runs import load_runs
    from reports.replay_table import render, write

    result = make_replay(load_runs(runs), protocol=protocol, strategies=strategy or ())
    if out is not None:
        write(result, out)
    if as_json:
        print(result.to_json())
    else:
        render(result, make_console())


@app.command()
def doctor(
    parametrization: Annotated[
        str | None, typer.Option(help="a preset or study YAML: what its rules give each parameter, instead")
    ] = None,
    rung: Annotated[str | None, typer.Option(help="one rung; without, the proxy and the targets")] = None,
    lr: Annotated[float | None, typer.Option(help="the study's LR; at 1, the default, LRs are multipliers")] = None,
    wheelhouse: Annotated[Path | None, typer.Option(help="a folder of `make wheelhouse`: is everything in it?")] = None,
    as_json: AsJson = False,
) -> None:
    """What this machine has and which expert backend runs here; or what a study's rules do to each parameter."""
    if wheelhouse is not None:
        from benchmark.wheelhouse import missing

        if absent := missing(wheelhouse):
            raise InputError(f"--wheelhouse: {wheelhouse} lacks {', '.join(absent)}; `make wheelhouse` gets them")
        print(f"{wheelhouse} is complete")
        return
    if parametrization is not None:
        from benchmark.effective import effective
        from benchmark.effective import render as render_effective

        found = effective(load_config(parametrization), rung=rung, lr=1.0 if lr is None else lr)
        if as_json:
            print(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
        else:
            for one in found:
                render_effective(one, make_console())
        return
    if rung is not None or lr is not None or as_json:
        raise InputError("--rung, --lr and --json are of a study's rules: give --parametrization PRESET too")
    from benchmark.environment import environment, gpu_names
    from models.experts.megablocks import unavailable_reason

    for key, value in environment(gpus=gpu_names()).items():
        print(f"{key:12} {value}")
    print(f"{'experts':12} grouped (torch grouped GEMM) runs here; {unavailable_reason() or 'so does megablocks'}")


@app.command()
def bench(
    preset: Annotated[str, typer.Argument(help="a preset or a study's YAML: whose rungs are timed")] = "cpu",
    out: Annotated[Path, typer.Option(help="the JSON to write")] = Path("bench.json"),
    rounds: Annotated[int, typer.Option(min=3, help="turns that every contestant takes")] = 7,
    steps: Annotated[int, typer.Option(min=1, help="training steps in a turn")] = 6,
    workers: Workers = None,
) -> None:
    """Training speed beside transformers' Mixtral, a plain loop and this machine's GEMM peak, measured in turns."""
    from benchmark.bench.runner import run_bench
    from benchmark.environment import default_workers

    config = load_config(preset)
    run_bench(config, out, make_console(), rounds=rounds, steps=steps, workers=workers or default_workers())


def main() -> None:
    """Entry point: bad input is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our minus sign is no reason to fail
    try:
        app()
    except InputError as error:
        sys.exit(_refuse(error))


def _refuse(error: InputError) -> int:
    print(f"lrladder: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
