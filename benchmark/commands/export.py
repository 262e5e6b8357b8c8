"""The command `export`: the weights of a finished trial as a checkpoint of transformers."""

from pathlib import Path
from typing import Annotated

import typer

from lrladder.benchmark.commands.options import Folder
from lrladder.benchmark.reading import printable

app = typer.Typer()


@app.command(epilog="Example: lrladder export runs/study --trial 3f2a --out checkpoint")
def export(
    folder: Folder,
    trial: Annotated[
        str, typer.Option(help="The id of the trial, or its beginning. It is `trial_id` in results.json.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder for the checkpoint.")],
    tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Horizon whose weights are written. Default: the longest one of the trial."),
    ] = None,
) -> None:
    """Write the weights of a finished trial as a checkpoint of transformers, with its multipliers folded in.

    The study must have kept them: `training: {keep_weights: targets}` in its config.
    """
    from lrladder.benchmark.export.checkpoint import export as write

    found = write(folder, trial, out, tokens=tokens)
    print(
        f"{printable(str(out))}: {found.model_type}, trial {found.trial_id} after {found.tokens:,} tokens, "
        f"loss {found.loss:.4f}; logits differ from ours by at most {found.difference:.1e} (the largest is "
        f"{found.largest:.2f})"
    )
