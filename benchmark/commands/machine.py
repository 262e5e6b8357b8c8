"""Commands about this machine: what it has, how fast it trains, and what only a GPU can show."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lrladder.benchmark.commands import completion
from lrladder.benchmark.commands.options import AsJson, Workers, finite
from lrladder.benchmark.console import make_console
from lrladder.benchmark.errors import ExitCode, InputError
from lrladder.benchmark.studies.regret.config import load_config

app = typer.Typer()

RULES_OF = "A preset or a study's YAML file. Shows what its rules set for each parameter, instead of the machine."


@app.command(epilog="Example: lrladder doctor --parametrization cpu --rung p32x2")
def doctor(
    parametrization: Annotated[str | None, typer.Option(help=RULES_OF, autocompletion=completion.presets)] = None,
    rung: Annotated[str | None, typer.Option(help="With --parametrization: only this model of the study.")] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="With --parametrization: the LR before the rules. With 1 the table shows the multipliers."),
    ] = None,
    wheelhouse: Annotated[
        Path | None, typer.Option(help="Check that this folder of `make wheelhouse` has every package.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what this machine has and which expert backend runs here, or what a study's rules set for each parameter."""
    if wheelhouse is not None:
        from lrladder.benchmark.checks.wheelhouse import missing

        if absent := missing(wheelhouse):
            raise InputError(f"--wheelhouse: {wheelhouse} lacks {', '.join(absent)}; run `make wheelhouse` to get them")
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
        raise InputError("--rung, --lr and --json describe a study's rules; give --parametrization PRESET as well")
    _show_machine()


def _show_machine() -> None:
    from lrladder.benchmark.environment import environment, gpu_names
    from lrladder.models.compiled import compiler_missing
    from lrladder.models.no_megablocks import no_megablocks

    gpus = gpu_names()
    for key, value in environment(gpus=gpus).items():
        print(f"{key:12} {value}")
    print(f"{'compiler':12} {compiler_missing() or 'torch.compile works here'}")
    megablocks = no_megablocks(has_gpu=bool(gpus)) or "so does megablocks"
    print(f"{'experts':12} grouped (torch grouped GEMM) runs here; {megablocks}")


@app.command(epilog="Example: lrladder bench cpu --out bench.json")
def bench(
    preset: Annotated[
        str,
        typer.Argument(
            help="A preset or a study's YAML file, whose models are timed.", autocompletion=completion.presets
        ),
    ] = "cpu",
    out: Annotated[Path, typer.Option(help="JSON file for the results.")] = Path("bench.json"),
    rounds: Annotated[int, typer.Option(min=3, help="How many times each program is timed, in turns.")] = 7,
    steps: Annotated[int, typer.Option(min=1, help="Training steps in each timing.")] = 6,
    workers: Workers = None,
) -> None:
    """Measure training speed beside transformers' Mixtral, a plain training loop and this machine's peak."""
    from lrladder.benchmark.checks.bench.runner import run_bench
    from lrladder.benchmark.environment import default_workers
    from lrladder.reports.regret.page import write

    config = load_config(preset)
    workers = workers or default_workers()
    run_bench(config, out, make_console(), rounds=rounds, steps=steps, workers=workers, write=write)


@app.command(name="gpu-check", epilog="Example: lrladder gpu-check --out runs/gpu-check --minutes 8")
def check_gpu(
    out: Annotated[
        Path, typer.Option(help="Folder for logs and results. Steps that succeeded there are not run again.")
    ],
    minutes: Annotated[
        float, typer.Option(callback=finite, help="Stop after this many minutes. The same command continues.")
    ] = 8.0,
) -> None:
    """Test this GPU: kernels, the smoke study, training speed beside Mixtral, and the first models of preset gpu."""
    from lrladder.benchmark.checks.gpu_check import gpu_check

    raise typer.Exit(ExitCode.DONE if gpu_check(out, make_console(), minutes=minutes) else ExitCode.FAILED_TRIALS)
