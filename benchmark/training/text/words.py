"""What a corpus is made of, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any


def sentences(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Tokens and documents, then what each source has. Nothing of a corpus of plain files, whose overlap says all."""
    if "mixture" not in manifest:
        return
    documents, tokens = manifest["documents"], manifest["tokens"]
    said = f"{tokens['train']:,} tokens to train on and {tokens['val']:,} for validation, from {documents['read']:,}"
    yield f"{said} documents{_less(documents)}."
    for name, commit in manifest.get("commits", {}).items():
        yield f"{name}: read at revision {commit}; set that to find these tokens without a network."
    for source in manifest["mixture"]:
        if len(manifest["mixture"]) > 1:
            share = f"weight {source['weight']:.1%}, {source['share']:.2%} of the training tokens"
            yield f"{source['name']}: {share} ({source['train_tokens']:,}), {source['val_tokens']:,} for validation."
        if source["cut"]:
            yield f"{source['name']}: there is more, which corpus.max_bytes leaves out; raise it to use more."
    if documents["left_out"]:
        scarcest = scarcest_of(manifest)
        left = f"{documents['left_out']:,} documents of other sources are left out to keep the weights"
        yield f"{scarcest} is the scarcest source for its weight: {left}."


def _less(documents: Mapping[str, int]) -> str:
    return f" ({documents['empty']:,} more were empty)" if documents["empty"] else ""


def scarcest_of(manifest: Mapping[str, Any]) -> str:
    """The source with the least training tokens for its weight, none of which is left out."""
    return str(max(manifest["mixture"], key=lambda source: source["share"] / source["weight"])["name"])


def scarce(manifest: Mapping[str, Any]) -> str:
    """What to give more of, where a corpus is too short."""
    if "parts" not in manifest:
        return "give more text (or raise corpus.max_bytes)"
    return f"give more of {scarcest_of(manifest)}, the scarcest source (or raise corpus.max_bytes, or lower its weight)"
