"""The command that turns a corpus into tokens, before a study or for several."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrladder.benchmark.commands import completion
from lrladder.benchmark.config.corpus import CorpusConfig, CorpusFile
from lrladder.benchmark.config.text import parse_yaml, preset_names, read_preset, validate
from lrladder.benchmark.console import make_console
from lrladder.benchmark.studies.kinds import load_study

if TYPE_CHECKING:
    from lrladder.benchmark.studies.config import StudyConfig

app = typer.Typer()

Named = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help=f"A preset ({', '.join(preset_names())}), a study's YAML file, or a YAML file with `corpus` alone.",
        autocompletion=completion.presets,
    ),
]


@app.command(epilog="Example: lrladder prepare study.yaml --out tokens")
def prepare(
    study: Named,
    out: Annotated[
        Path | None,
        typer.Option(help="Copy the tokens to this folder as well, to be used as `corpus: {prepared: OUT}`."),
    ] = None,
) -> None:
    """Turn the text of a study into tokens. `run` finds them in the cache. After a kill the same command goes on."""
    from lrladder.benchmark.folders import cache_folder
    from lrladder.benchmark.training import overlap
    from lrladder.benchmark.training.corpus import load, verified_entry
    from lrladder.benchmark.training.entry import manifest_of
    from lrladder.benchmark.training.prepared import write_prepared
    from lrladder.benchmark.training.text.progress import shown
    from lrladder.benchmark.training.text.words import sentences

    config, whole = _corpus_of(study)
    console = make_console()
    with shown(console) as show:
        verified = verified_entry(config, cache=cache_folder(), say=console.print, show=show)
    manifest = manifest_of(verified)
    for sentence in (*sentences(manifest), f"Corpus {verified.digest}: {overlap.sentence(manifest)}."):
        console.print(sentence, soft_wrap=True)
    if whole is not None:
        load(verified, whole.base.shape.seq_len, config.val_documents).require(whole.longest_horizon)
        console.print(f"It suffices for the longest horizon of {whole.name}, {whole.longest_horizon:,} tokens.")
    if out is not None:
        write_prepared(verified, out)
        console.print(
            f"Copied. To use it: corpus: {{prepared: {out}, vocab_size: {config.vocab_size}}}", soft_wrap=True
        )
    console.print(f"Cached: {verified.entry}", soft_wrap=True)


def _corpus_of(study: str) -> "tuple[CorpusConfig, StudyConfig | None]":
    """The corpus of a study, or of a file that has no other key."""
    if study not in preset_names():
        data = parse_yaml(read_preset(study), source=study)
        if set(data) == {"corpus"}:
            return validate(CorpusFile, data, source=study).corpus, None
    whole = load_study(study)
    return whole.corpus, whole
