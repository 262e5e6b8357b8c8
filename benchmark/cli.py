"""The `lrladder` command. Exit codes: 0 done, 2 bad input, 3 some trials failed, 130 interrupted."""

import io
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.config import load_config, preset_names
from benchmark.console import make_console
from benchmark.errors import InputError

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
Workers = Annotated[int | None, typer.Option(min=1, help="worker processes (default: one per core, or one per GPU)")]


@app.command()
def plan(preset: Preset, workers: Workers = None, as_json: AsJson = False) -> None:
    """Every trial with its tokens, FLOPs, memory and time, before anything runs."""
    from benchmark.environment import default_workers
    from benchmark.planner import plan as make_plan
    from benchmark.planner import render

    made = make_plan(load_config(preset), workers=workers or default_workers())
    if as_json:
        print(made.to_json())
    else:
        render(made, make_console())


@app.command()
def run(
    preset: Preset,
    out: Annotated[Path, typer.Option(help="where results go; an interrupted study continues there")],
    workers: Workers = None,
) -> None:
    """Search, propose, validate, sweep the oracle, report. Continues whatever OUT already holds."""
    from benchmark.runner import run_benchmark

    raise typer.Exit(run_benchmark(load_config(preset), out, workers=workers))


@app.command()
def status(folder: Folder, as_json: AsJson = False) -> None:
    """How far a study is: trials by verdict, and what is missing."""
    from benchmark.runner import load_results

    results = load_results(folder)
    if as_json:
        print(json.dumps({"complete": results.complete, "missing": results.missing, **results.trials.model_dump()}))
        return
    counts = results.trials
    print(f"{results.preset}: {counts.finished} finished, {counts.diverged} diverged, {counts.failed} failed")
    print("complete" if results.complete else "missing: " + "; ".join(results.missing))


@app.command()
def report(folder: Folder) -> None:
    """Write the report again from stored results."""
    from benchmark.runner import load_results
    from reports.page import write

    print(write(load_results(folder), folder / "report"))


@app.command()
def doctor() -> None:
    """What this machine has, and which expert backend runs here and why."""
    from benchmark.environment import environment, gpu_names
    from models.experts.megablocks import unavailable_reason

    for key, value in environment(gpus=gpu_names()).items():
        print(f"{key:12} {value}")
    print(f"{'experts':12} grouped (torch grouped GEMM) runs here; {unavailable_reason()}")


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
