"""Commands that plan and run studies."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrladder.benchmark.commands.options import (
    Address,
    AllowImport,
    AsJson,
    ExecutorKind,
    Folder,
    Hostfile,
    Listen,
    NumGpus,
    Out,
    Preset,
    Workers,
    finite,
)
from lrladder.benchmark.config.lab import HERE
from lrladder.benchmark.console import make_console
from lrladder.benchmark.errors import ExitCode, InputError
from lrladder.benchmark.studies.kinds import kind_of, load_study, plan_of
from lrladder.benchmark.training.gpus import GPUS, Gpus, gpus_of

if TYPE_CHECKING:
    from lrladder.benchmark.studies.runner import Ended

REPORT = "lrladder.reports.pages"  # imported while runs train

app = typer.Typer()


@app.command(epilog="Example: lrladder plan gpu --gpu h100 --gpus 8")
def plan(
    preset: Preset,
    workers: Workers = None,
    tflops: Annotated[
        float | None,
        typer.Option(
            callback=finite,
            help="Estimate the time on GPUs that each sustain this many TFLOP/s in bf16, instead of on this machine.",
        ),
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(help=f"Plan for GPUs of this kind: {', '.join(GPUS)}. Each run takes all of them."),
    ] = None,
    gpus: NumGpus = 1,
    hostfile: Hostfile = None,
    as_json: AsJson = False,
) -> None:
    """Show every training run of a study with its tokens, FLOPs, memory and time. Nothing is trained."""
    from lrladder.benchmark.commands.plan_table import render
    from lrladder.benchmark.environment import default_workers
    from lrladder.benchmark.studies.executors import on_executor
    from lrladder.benchmark.studies.slots import hosts_of, slots_of, with_hosts

    sustained = None if tflops is None else 1e12 * tflops
    study = on_executor(load_study(preset), None, hostfile=hostfile)
    hosts = hosts_of(study)
    made = plan_of(
        study,
        workers=workers or slots_of(hosts) or default_workers(),
        flops_per_second=sustained,
        gpus=_gpus(gpu, gpus, tflops, workers, slots_of(hosts)),
    )
    made = with_hosts(made, study, hosts)
    if as_json:
        print(made.to_json())
    else:
        render(made, make_console())


def _gpus(name: str | None, count: int, tflops: float | None, workers: int | None, slots: int) -> Gpus | None:
    """The GPUs to plan for, by default all `slots` of a hostfile. Raises InputError for options that do not fit."""
    if name is None:
        if count > 1:
            raise InputError("--gpus is the number of GPUs of the kind --gpu; give --gpu too")
        return None
    asked = gpus_of(name, slots if slots and count == 1 else count)
    if tflops is not None or workers is not None:
        raise InputError("--gpu plans the time on these GPUs; leave out --tflops and --workers")
    return asked


@app.command(epilog="Example: lrladder run cpu --out runs/cpu --log mlflow")
def run(
    preset: Preset,
    out: Out,
    workers: Workers = None,
    allow_import: AllowImport = False,
    log: Annotated[
        list[str] | None,
        typer.Option(help="Also copy the logs of the runs to `tensorboard`, `wandb` or `mlflow`. May be given again."),
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile/--no-compile", help="Use torch.compile for runs that are long enough for it to save time."
        ),
    ] = True,
    executor: ExecutorKind = None,
    address: Address = None,
    listen: Listen = None,
    hostfile: Hostfile = None,
) -> None:
    """Run a study and write its report. Finished runs that OUT already holds are used again.

    A benchmark searches on small models and fixes its proposals.
    Then it trains them at the targets, sweeps the LR there, and scores them.
    """
    from lrladder.benchmark.lab.loggers import choice
    from lrladder.benchmark.studies.executors import on_executor
    from lrladder.benchmark.studies.runner import run_study
    from lrladder.benchmark.training import compiling

    study = on_executor(load_study(preset), executor, address=address, listen=listen, hostfile=hostfile)
    kind_of(study).require_classes(study, from_here=allow_import)
    if log:
        if kind_of(study).simulated_lab(study) is not None or not study.trained_here:
            how = "trained elsewhere" if study.lab != HERE else "simulated"
            raise InputError(
                f"--log: {preset} is {how}, so no run is trained here whose log could be copied; leave --log out"
            )
        choice.choose(log)
    if not compiled:
        compiling.choose("off")
    raise typer.Exit(_ended(run_study(study, out, workers=workers, needed_later=REPORT), out))


@app.command(epilog="Example: lrladder extend runs/cpu --tokens 800000")
def extend(
    folder: Folder,
    tokens: Annotated[int, typer.Option(min=1, help="Continue every target to this number of training tokens.")],
    workers: Workers = None,
    allow_import: AllowImport = False,
    executor: ExecutorKind = None,
    address: Address = None,
    listen: Listen = None,
    hostfile: Hostfile = None,
) -> None:
    """Continue the target runs of a study to more training tokens, from stored checkpoints. Write the report again."""
    from lrladder.benchmark.studies.executors import on_executor
    from lrladder.benchmark.studies.extend import extend as longer
    from lrladder.benchmark.studies.runner import run_study

    extension = longer(folder, tokens)
    study = on_executor(extension.config, executor, address=address, listen=listen, hostfile=hostfile)
    kind_of(study).require_classes(study, from_here=allow_import)
    raise typer.Exit(
        _ended(run_study(study, folder, workers=workers, change=extension.change, needed_later=REPORT), folder)
    )


@app.command(epilog="Example: lrladder tune-recipe cpu --out runs/recipe")
def tune_recipe(
    preset: Preset,
    out: Out,
    budget: Annotated[
        int | None,
        typer.Option(min=1, help="The most runs that the search may train. The final comparison trains more."),
    ] = None,
    workers: Workers = None,
    executor: ExecutorKind = None,
    address: Address = None,
    listen: Listen = None,
    hostfile: Hostfile = None,
) -> None:
    """Tune the base recipe of a study: LR ratios of roles, embedding std, decay and beta2, together with the LR."""
    from lrladder.benchmark.studies.executors import on_executor
    from lrladder.benchmark.studies.runner import run_study
    from lrladder.benchmark.studies.tune import new_budget, tuning_of

    study = on_executor(
        tuning_of(load_study(preset), budget=budget), executor, address=address, listen=listen, hostfile=hostfile
    )
    ended = run_study(study, out, workers=workers, change=new_budget(out, study), needed_later=REPORT)
    raise typer.Exit(_ended(ended, out))


def _ended(ended: "Ended[Any]", out: Path) -> ExitCode:
    """Show the results, write the report, and return the exit code."""
    from lrladder.reports.pages import PAGES, write_report

    console, results = make_console(), ended.results
    if results is not None:
        PAGES[results.schema_].show(results, console)
        if not ended.stopped:  # if the results could not be written, a page could not either
            console.print(f"Report: {write_report(results, out)}", soft_wrap=True, markup=False)
    if ended.saved_tokens:
        console.print(
            f"{ended.trained_tokens:,} tokens were trained now; stored checkpoints saved {ended.saved_tokens:,} more"
        )
    for line in _wanted(ended, out):
        console.print(line, soft_wrap=True, highlight=False)
    kept = (
        "Everything that was measured is kept"
        if results is not None
        else "The complete results that were there are kept"
    )
    if ended.stopped:
        told = (
            f"Stopped: {ended.stopped}. {kept}. Make room, if a disk is full; the same command then "
            "continues the study."
        )
        console.print(told, soft_wrap=True)
        return ExitCode.FAILED_TRIALS
    if ended.interrupted:
        console.print(f"Interrupted. {kept}. The same command continues the study.", soft_wrap=True)
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED_TRIALS if ended.failed else ExitCode.DONE


def _wanted(ended: "Ended[Any]", out: Path) -> Iterator[str]:
    """What to do about runs that the user's own trainer is asked for."""
    if ended.wanted:
        from lrladder.benchmark.commands.external import next_steps
        from lrladder.benchmark.external.verbs import Asked

        yield from next_steps(Asked.of(ended), out)
