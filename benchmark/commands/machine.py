"""Commands about this machine: doctor, bench and gpu-check."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lrladder.benchmark.commands.options import AsJson, Workers, finite
from lrladder.benchmark.console import make_console
from lrladder.benchmark.errors import ExitCode, InputError
from lrladder.benchmark.studies.regret.config import load_config

app = typer.Typer()


@app.command()
def doctor(
    parametrization: Annotated[
        str | None, typer.Option(help="instead, show what the rules of this preset or study YAML give each parameter")
    ] = None,
    rung: Annotated[str | None, typer.Option(help="one rung (default: the proxy and the targets)")] = None,
    lr: Annotated[float | None, typer.Option(help="the study's LR (default: 1, so that LRs are multipliers)")] = None,
    wheelhouse: Annotated[Path | None, typer.Option(help="check a folder of `make wheelhouse`")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the software and hardware here and the expert backend; or what the rules of a study give each parameter."""
    if wheelhouse is not None:
        from lrladder.benchmark.checks.wheelhouse import missing

        if absent := missing(wheelhouse):
            raise InputError(f"--wheelhouse: {wheelhouse} lacks {', '.join(absent)}; `make wheelhouse` gets them")
        print(f"{wheelhouse} is complete")
        return
    if parametrization is not None:
        from lrladder.benchmark.checks.parametrization import effective
        from lrladder.benchmark.checks.parametrization import render as render_effective

        found = effective(load_config(parametrization), rung=rung, lr=1.0 if lr is None else lr)
        if as_json:
            print(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
        else:
            for one in found:
                render_effective(one, make_console())
        return
    if rung is not None or lr is not None or as_json:
        raise InputError("--rung, --lr and --json apply to the rules of a study: also give --parametrization PRESET")
    from lrladder.benchmark.environment import environment, gpu_names
    from lrladder.models.compiled import compiler_missing
    from lrladder.models.experts.megablocks import unavailable_reason

    for key, value in environment(gpus=gpu_names()).items():
        print(f"{key:12} {value}")
    print(f"{'compiler':12} {compiler_missing() or 'torch.compile works here'}")
    print(f"{'experts':12} grouped (torch grouped GEMM) runs here; {unavailable_reason() or 'so does megablocks'}")


@app.command()
def bench(
    preset: Annotated[str, typer.Argument(help="a preset or a study's YAML file; its rungs are timed")] = "cpu",
    out: Annotated[Path, typer.Option(help="JSON file to write")] = Path("bench.json"),
    rounds: Annotated[int, typer.Option(min=3, help="turns of each implementation")] = 7,
    steps: Annotated[int, typer.Option(min=1, help="training steps per turn")] = 6,
    workers: Workers = None,
) -> None:
    """Compare the training speed with transformers' Mixtral, a plain loop and the GEMM peak of this machine."""
    from lrladder.benchmark.checks.bench.runner import run_bench
    from lrladder.benchmark.environment import default_workers
    from lrladder.reports.regret.page import write

    config = load_config(preset)
    workers = workers or default_workers()
    run_bench(config, out, make_console(), rounds=rounds, steps=steps, workers=workers, write=write)


@app.command(name="gpu-check")
def check_gpu(
    out: Annotated[Path, typer.Option(help="for logs and results; steps that succeeded there are not repeated")],
    minutes: Annotated[float, typer.Option(callback=finite, help="stop after this; the same command continues")] = 8.0,
) -> None:
    """On a GPU: test kernels, run the smoke study, compare speed with Mixtral, run the first rungs of preset gpu."""
    from lrladder.benchmark.checks.gpu_check import gpu_check

    raise typer.Exit(ExitCode.DONE if gpu_check(out, make_console(), minutes=minutes) else ExitCode.FAILED_TRIALS)
