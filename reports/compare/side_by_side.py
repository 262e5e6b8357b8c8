"""Puts several studies side by side: their scores at each target, and the settings in which they differ.

No number of one study is pooled with a number of another.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lrladder.benchmark import upgrade
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.regret.results import SCHEMA, ParadigmResult, RegretResults, TargetResult
from lrladder.benchmark.studies.stored import load_results
from lrladder.reports import pages
from lrladder.reports.regret import analysis
from lrladder.reports.results_page import Held

CORPUS_KEYS = ("source", "tokens", "vocab_size")  # keys to compare; the digest covers all others
ABSENT = "\N{EN DASH}"


class Study(NamedTuple):
    """A study by its label, which is made from the name of its folder."""

    label: str
    results: RegretResults


class Other(NamedTuple):
    """A folder with results of another kind, which is listed and not compared."""

    label: str
    held: Held


class Comparison(NamedTuple):
    """All folders that were given."""

    studies: tuple[Study, ...]
    others: tuple[Other, ...]


class Place(NamedTuple):
    """A target at one horizon. Targets of two studies are the same place if all of this is equal."""

    rung: str
    n_active: int
    batch_tokens: int
    tokens: int


class Row(NamedTuple):
    """The scores of one entry at one place, by study; None for a study without a score there."""

    paradigm: str  # name of the entry
    scores: tuple[ParadigmResult | None, ...]


class Block(NamedTuple):
    """All scores at one place; `targets` has the result of each study there."""

    place: Place
    rows: tuple[Row, ...]
    targets: tuple[TargetResult | None, ...]


class Difference(NamedTuple):
    """A setting in which the studies differ, with its value in each of them."""

    part: str
    key: str
    values: tuple[str, ...]


def load(folders: Sequence[Path]) -> Comparison:
    """The studies in the folders, and the folders with other results, in the given order.

    Raises InputError for fewer than two folders, a folder given twice, or if no folder holds a benchmark.
    """
    if len(folders) < 2:
        raise InputError("compare: give at least two folders; `lrladder report DIR` shows one")
    names = labels(folders)
    studies, others = [], []
    for label, folder in zip(names, folders, strict=True):
        known = pages.held(folder)
        if known.kind == REGRET.name:
            studies.append(Study(label, load_results(folder, REGRET)))
        else:
            others.append(Other(label, known))
    if not studies:
        raise InputError(
            f"compare: none of these folders holds a benchmark ({SCHEMA}); `lrladder index` lists results of all kinds"
        )
    return Comparison(tuple(studies), tuple(others))


def labels(folders: Sequence[Path]) -> list[str]:
    """Names of the folders, with as many parents as needed to distinguish them.

    Raises InputError if a folder is given twice.
    """
    paths = [folder.resolve() for folder in folders]
    twice = [str(folder) for folder, path in zip(folders, paths, strict=True) if paths.count(path) > 1]
    if twice:
        raise InputError(f"compare: {twice[0]} is given twice; name each folder once")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]).replace("//", "/") for path in paths]


def blocks(studies: Sequence[Study]) -> tuple[Block, ...]:
    """One block per target and horizon, smallest model first."""
    found = [{_place(target): target for target in study.results.targets} for study in studies]
    places = sorted({place for targets in found for place in targets}, key=lambda p: (p.n_active, p.tokens, p))
    return tuple(_block(place, tuple(targets.get(place) for targets in found)) for place in places)


def _place(target: TargetResult) -> Place:
    return Place(target.rung, target.n_active, target.batch_tokens, target.tokens)


def _block(place: Place, targets: tuple[TargetResult | None, ...]) -> Block:
    scores = [{p.name: p for p in target.paradigms} if target else {} for target in targets]
    names = dict.fromkeys(name for known in scores for name in known)
    return Block(place, tuple(Row(name, tuple(known.get(name) for known in scores)) for name in names), targets)


def loss_groups(studies: Sequence[Study]) -> list[list[str]]:
    """Groups of studies, by label, whose losses can be compared.

    These are trained studies with the same validation text, vocabulary and window.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    for study in studies:
        groups.setdefault(_scale(study), []).append(study.label)
    return list(groups.values())


def _scale(study: Study) -> tuple[object, ...]:
    """What must be equal for losses to be comparable. One simulated, trained elsewhere or of unknown text is alone."""
    results = study.results
    if results.lab != "trained" or not results.corpus_digest:
        return (study.label,)
    config = flat(results.config)
    documents, window = config.get("corpus.val_documents"), config.get("ladder.seq_len")
    return (results.corpus_digest, results.corpus.get("vocab_size"), documents, window)


def loss_sentence(studies: Sequence[Study]) -> str:
    """A sentence that says which losses can be compared."""
    groups = loss_groups(studies)
    if len(groups) == 1:
        return (
            "The losses can be compared: validation text, vocabulary and window are the same. "
            "Each regret is against the oracle of its own study."
        )
    return (
        "Losses are NOT comparable between "
        + " | ".join(", ".join(group) for group in groups)
        + ", because validation text, vocabulary or window differ, or the losses are simulated or of runs that were "
        "trained elsewhere. "
        "Each regret is against the oracle of its own study."
    )


def differences(studies: Sequence[Study]) -> tuple[Difference, ...]:
    """All settings in which the studies differ: config keys, text, versions and hardware."""
    parts = {
        "config": [_config(s.results) for s in studies],
        "text": [_text(s.results) for s in studies],
        "versions and hardware": [dict(s.results.environment) for s in studies],
    }
    return tuple(found for part, known in parts.items() for found in _differences(part, known))


def _config(results: RegretResults) -> dict[str, str]:
    """The config by dotted key, without the study's name, and without training settings that change no number."""
    config = upgrade.config(results.config)
    training = flat(config.pop("training", {}), "training.")
    changes_numbers = any("micro_batch" in value for key, value in training.items() if "aux_loss_over" in key)
    found = flat({key: value for key, value in config.items() if key != "name"})
    return found | training if changes_numbers else found


def _differences(part: str, known: Sequence[Mapping[str, str]]) -> Iterable[Difference]:
    for key in dict.fromkeys(key for values in known for key in values):
        values = tuple(one.get(key, ABSENT) for one in known)
        if len(set(values)) > 1:
            yield Difference(part, key, values)


def _text(results: RegretResults) -> dict[str, str]:
    """Where the losses come from."""
    known = {key: str(results.corpus[key]) for key in CORPUS_KEYS if key in results.corpus}
    return {"losses": results.lab, "corpus digest": results.corpus_digest or "unknown", **known}


def flat(config: Mapping[str, object], path: str = "") -> dict[str, str]:
    """The values of a config by dotted key. An item of a list that has a name, such as a rung, is one value."""
    found: dict[str, str] = {}
    for key, value in config.items():
        here = f"{path}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{here}.")
        elif isinstance(value, list) and value and all(isinstance(one, Mapping) and "name" in one for one in value):
            found |= {f"{here}.{one['name']}": _words(one) for one in value}
        else:
            found[here] = value if isinstance(value, str) else json.dumps(value)
    return found


def _words(named: Mapping[str, object]) -> str:
    """An item with a name, such as a rung, in one line, without the keys that it leaves empty."""
    kept = {key: value for key, value in named.items() if key != "name" and value not in (None, [])}
    return ", ".join(f"{key} {value if isinstance(value, str) else json.dumps(value)}" for key, value in kept.items())


def frame(studies: Sequence[Study]) -> pd.DataFrame:
    """A table with a row per study, target, horizon and entry. Losses of rows with one `loss_group` are comparable."""
    group = {label: place for place, names in enumerate(loss_groups(studies), start=1) for label in names}
    tables = [analysis.paradigms(study.results) for study in studies]
    for table, study in zip(tables, studies, strict=True):
        table.insert(0, "study", study.label)
        table.insert(1, "loss_group", group[study.label])
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
