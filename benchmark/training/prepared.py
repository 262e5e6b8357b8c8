"""A prepared corpus outside the cache: written once, then used wherever it is copied to."""

import json
import shutil
from pathlib import Path

from lrladder.benchmark.config.corpus import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import new_folder
from lrladder.benchmark.training.entry import PARTS, PLACES, TOKENIZER, Verified, manifest_of, read_manifest, verify


def open_prepared(config: CorpusConfig) -> Verified:
    """The folder that `corpus.prepared` names. Raises InputError for what is none, is damaged, or does not fit."""
    folder = Path(config.prepared).expanduser()
    others = ("text", "dataset", "train_tokens", "val_tokens", "sources", "packages", "tokenizer")
    if given := [name for name in others if getattr(config, name)]:
        raise InputError(f"corpus: prepared holds tokens already, and {given[0]} is given too; keep one of them")
    if not (folder / "manifest.json").is_file():
        raise InputError(f"corpus.prepared: {folder} holds no manifest.json; give a folder of `lrladder prepare --out`")
    manifest = read_manifest(folder, PLACES)
    if manifest is not None and manifest["vocab_size"] != config.vocab_size:
        raise InputError(f"corpus.prepared: {folder} was made with another vocab_size; set {manifest['vocab_size']}")
    if manifest is None or (verified := verify(folder, PLACES, config.vocab_size)) is None:
        raise InputError(f"corpus.prepared: {folder} does not hold the tokens that were written to it; copy it again")
    return verified


def write_prepared(verified: Verified, folder: Path) -> None:
    """Copy an entry to a new folder. Raises InputError for a folder that holds anything else."""
    if (there := read_manifest(folder, PLACES)) and there["digest"] == verified.digest:
        return
    manifest = manifest_of(verified)
    with new_folder(folder, "--out") as writing:
        for part in PARTS:
            shutil.copyfile(verified.entry / manifest["paths"][part], writing / PLACES[part])
        if (verified.entry / TOKENIZER).is_file():
            shutil.copyfile(verified.entry / TOKENIZER, writing / TOKENIZER)
        text = json.dumps(manifest | {"paths": PLACES}, indent=1)
        (writing / "manifest.json").write_text(text + "\n", encoding="utf-8")
