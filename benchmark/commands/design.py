"""The command `design`: from a model's config.json to the YAML of a study that answers for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lrladder.benchmark.commands.options import NumGpus, as_one, finite
from lrladder.benchmark.errors import ExitCode
from lrladder.benchmark.training.gpus import GpuName

app = typer.Typer()


@dataclass(frozen=True)
class Options:
    """The options of `lrladder design`."""

    config: Annotated[Path, typer.Option(help="The config.json of your model, as on the Hugging Face hub.")]
    tokens: Annotated[float, typer.Option(callback=finite, help="Tokens that your model will be trained on.")]
    batch_tokens: Annotated[float, typer.Option(callback=finite, help="Tokens of one training step of your model.")]
    budget: Annotated[
        float, typer.Option(callback=finite, help="The most that the study may cost, in runs of your model.")
    ]
    gpu: Annotated[GpuName | None, typer.Option(help="Print times on this kind of GPU.")] = None
    gpus: NumGpus = 1
    memory: Annotated[
        float, typer.Option(callback=finite, help="GiB that weights, gradients and moments may take.")
    ] = 80.0
    seq_len: Annotated[
        int | None, typer.Option(min=2, help="Tokens of a sequence. Default: your model's, at most 4096.")
    ] = None
    validation: Annotated[
        bool, typer.Option("--validation/--no-validation", help="Spend a quarter of the budget on a validation target.")
    ] = True
    name: Annotated[str, typer.Option(help="The name of the study.")] = "design"
    studies: Annotated[int, typer.Option(min=1, help="Number of studies that are simulated for the interval.")] = 200


@app.command(
    epilog="Example: lrladder design --config config.json --tokens 1e12 --batch-tokens 4e6 --budget 0.05 > study.yaml"
)
@as_one(Options)
def design(options: Options) -> None:
    """Lay out a study for your own model: small models in its proportions, within a budget.

    The YAML goes to stdout and can be run as it is. Its cost, its extrapolation and the interval to expect go to
    stderr. Exit code 3 means that the interval to expect reaches an octave or more to either side.
    """
    from lrladder.benchmark.design import designed
    from lrladder.benchmark.design.layout import Goal
    from lrladder.benchmark.design.public_config import read_public

    public = read_public(options.config, seq_len=options.seq_len)
    tokens, batch = round(options.tokens), round(options.batch_tokens)
    goal = Goal(public.shape, tokens, batch, options.budget, options.memory * 2**30, options.validation)
    found = designed.design(public, goal, name=options.name, studies=options.studies)
    print(found.text, end="")
    for line in found.words(gpu=options.gpu, gpus=options.gpus):
        typer.echo(line, err=True)
    if found.is_too_wide:
        raise typer.Exit(ExitCode.FAILED_TRIALS)
