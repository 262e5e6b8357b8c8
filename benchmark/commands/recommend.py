"""The command `recommend`: the LR for a model, from a fitted law or from a study."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from lrladder.benchmark.commands.options import AsJson, Folder, as_one, finite
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import understood
from lrladder.benchmark.recommend.reach import CHECKED

app = typer.Typer()

SIZES = (
    *("width", "depth", "head_size", "heads", "kv_heads", "num_experts", "top_k", "expert_width", "shared_width"),
    *("kv_rank", "q_rank", "vocab_size", "seq_len"),
)
OWN = "your own model: sizes that you leave out are those of the study's models"
Size = Annotated[int | None, typer.Option(min=1, rich_help_panel=OWN)]


@dataclass(frozen=True)
class Options:
    """The options of `lrladder recommend`."""

    folder: Folder
    n_params: Annotated[
        float | None,
        typer.Option(
            callback=finite, help="For a folder of `lrladder fit`: non-embedding parameters, counted as in its table."
        ),
    ] = None
    rung: Annotated[str | None, typer.Option(help="A model of the study, by its name.")] = None
    width: Size = None
    depth: Size = None
    head_size: Size = None
    heads: Size = None
    kv_heads: Size = None
    num_experts: Size = None
    top_k: Size = None
    expert_width: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=OWN, help="Hidden width of one expert.")
    ] = None
    shared_width: Annotated[
        int | None, typer.Option(min=0, rich_help_panel=OWN, help="Hidden width of the shared expert; 0 for none.")
    ] = None
    kv_rank: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=OWN, help="Width of the latent of keys and values.")
    ] = None
    q_rank: Annotated[int | None, typer.Option(min=1, rich_help_panel=OWN, help="Width of the latent of queries.")] = (
        None
    )
    vocab_size: Size = None
    seq_len: Size = None
    n_active: Annotated[
        float | None, typer.Option(callback=finite, help="Active non-embedding parameters of your model.")
    ] = None
    n_total: Annotated[
        float | None, typer.Option(callback=finite, help="With --n-active: non-embedding parameters with all experts.")
    ] = None
    tokens: Annotated[
        float | None,
        typer.Option(
            callback=finite, help="Training tokens. With --rung the default is the longest horizon of that model."
        ),
    ] = None
    batch_tokens: Annotated[
        float | None,
        typer.Option(callback=finite, help="Tokens of one training step. With --rung the study knows this number."),
    ] = None
    entry: Annotated[
        str | None, typer.Option(help="The name of the entry whose LR to print. Default: the study's choice.")
    ] = None
    paradigm: Annotated[str | None, typer.Option(hidden=True)] = None  # its old name
    force: Annotated[
        bool,
        typer.Option("--force", help=f"Answer even beyond {CHECKED:g} times the FLOPs of the largest run searched."),
    ] = False
    tflops: Annotated[
        float | None,
        typer.Option(
            callback=finite,
            help="TFLOP/s that one GPU sustains, to give the cost of a wrong LR in GPU-hours.",
        ),
    ] = None
    budget: Annotated[
        float | None,
        typer.Option(callback=finite, help="For a fit: the most that the next sweep may cost, in runs of your model."),
    ] = None
    form: Annotated[
        Literal["text", "json", "torch", "deepspeed", "transformers", "megatron", "torchtitan"],
        typer.Option("--format", help="How to print the recipe: for people, as JSON, or to paste into a trainer."),
    ] = "text"
    as_json: AsJson = False
    multipliers: Annotated[
        bool,
        typer.Option(
            "--multipliers",
            help="Print the multipliers of outputs separately, for a trainer that has them. By default they are folded "
            "into initial std, LR, weight decay and eps.",
        ),
    ] = False

    @property
    def sizes(self) -> dict[str, int]:
        """The given sizes of the user's model, by name."""
        return {name: size for name in SIZES if (size := getattr(self, name)) is not None}


@app.command(
    epilog="Example: lrladder recommend runs/cpu --width 128 --depth 4 --tokens 1e6 --batch-tokens 2048 --format torch"
)
@as_one(Options)
def recommend(options: Options) -> None:
    """Print the LR to set for a model, with its 90% interval and what weakens it.

    For a folder of `lrladder fit`, the LR comes from the fitted law.
    For a study, it comes from one of its entries, with the settings of each kind of parameter.
    """
    from lrladder.benchmark.own_runs.fit_results import SCHEMA as FIT_SCHEMA
    from lrladder.benchmark.studies.stored import schema_of

    if options.paradigm is not None:
        raise InputError(f"--paradigm is now --entry: write --entry {options.paradigm}")
    if not options.folder.is_dir():
        raise InputError(f"{options.folder}: no such folder; give OUT of `lrladder fit` or of a study")
    with understood(options.folder):
        text = _by_fit(options) if schema_of(options.folder) == FIT_SCHEMA else _by_study(options)
    print(text)


def _by_fit(options: Options) -> str:
    from lrladder.benchmark.own_runs.fit_file import load_fit
    from lrladder.benchmark.recommend.fit import recommend, words
    from lrladder.benchmark.recommend.sanity import Target

    folder = options.folder
    if options.n_params is None or options.tokens is None:
        raise InputError(
            f"{folder} holds a fit, so --n-params and --tokens are needed; give both, counted as in its table"
        )
    if options.rung or options.entry or options.sizes or options.n_total:
        told = f"{folder} holds a fit, so --rung, --entry, --n-total and sizes have no meaning"
        raise InputError(f"{told}; leave them out")
    target = Target(options.n_params, options.tokens, options.n_active, options.batch_tokens)
    found = recommend(load_fit(folder), target, force=options.force, tflops=options.tflops, budget=options.budget)
    return found.to_json() if options.as_json else words(found)


def _by_study(options: Options) -> str:
    from lrladder.benchmark.recommend.formats import text
    from lrladder.benchmark.recommend.study import advise
    from lrladder.benchmark.recommend.wanted import Wanted
    from lrladder.benchmark.studies.regret.kind import REGRET
    from lrladder.benchmark.studies.stored import load_results

    folder = options.folder
    if options.n_params is not None:
        raise InputError(
            f"--n-params is only for a folder of `lrladder fit`; {folder} holds a study, so give --n-active instead"
        )
    wanted = Wanted(
        options.entry,
        options.rung,
        options.sizes,
        n_active=_whole("n_active", options.n_active),
        n_total=_whole("n_total", options.n_total),
        tokens=_whole("tokens", options.tokens),
        batch_tokens=_whole("batch_tokens", options.batch_tokens),
        force=options.force,
    )
    advice = advise(load_results(folder, REGRET), wanted, folder=folder, tflops=options.tflops)
    return text(advice if options.multipliers else advice.fold(), "json" if options.as_json else options.form)


def _whole(name: str, count: float | None) -> int | None:
    if count is not None and count < 1:
        raise InputError(f"--{name.replace('_', '-')} {count:g}: give a whole number from 1")
    return None if count is None else round(count)
