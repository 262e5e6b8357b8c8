"""Makes the config of the study that tunes the base recipe of another study."""

from collections.abc import Callable
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

from lrladder.benchmark.config.lab import HERE
from lrladder.benchmark.config.text import validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.drift.config import DriftConfig
from lrladder.benchmark.studies.kinds import load_stored_study
from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.schedules.config import SchedulesConfig

SHARED = ("corpus", "executor", "optimizer", "recipe", "schedule", "expert_backend")  # keys that a tuning takes over
N_SEARCH, N_FRESH = 2, 3  # seeds of the search and of the final comparison, as the defaults of TuningConfig


class Known(NamedTuple):
    """What a tuning takes over from the other study: its first LR, and every seed with which it searches or scores."""

    lr_guess: float
    seeds: frozenset[int]


def tuning_of(config: StudyConfig, *, budget: int | None = None) -> TuningConfig:
    """The config of the tuning of a study. It has the study's base, corpus, optimizer and schedule, and other seeds.

    Raises InputError if the study trains nothing or is a tuning itself, or if its config gives no LR to start at.
    """
    if config.lab != HERE:
        raise InputError(f"{config.name}: lab: a recipe is tuned by our own trainer, on our own text; remove lab")
    known = _known(config)
    seeds = tuple(islice((seed for seed in count() if seed not in known.seeds), N_SEARCH + N_FRESH))
    is_tuned = config.recipe.embedding_lr != 1.0
    data = config.model_dump(mode="json", include=set(SHARED))
    data |= {
        "name": f"{config.name}-recipe",
        "start": config.base.model_dump(mode="json"),
        "lr_guess": known.lr_guess,
        "search_seeds": seeds[:N_SEARCH],
        "fresh_seeds": seeds[N_SEARCH:],
        "training": _training(config),
        **({"embedding_start": config.recipe.embedding_lr} if is_tuned else {}),
        **({} if budget is None else {"budget": budget}),
    }
    return validate(TuningConfig, data, source=config.name)


def _training(config: StudyConfig) -> dict[str, Any]:
    """How the other study trains its base: as its rungs in general, but for what it changes at the base's own rung."""
    base = config.base
    settings = config.training.model_dump(mode="json", exclude={"rungs", "keep_weights"})
    for rung in config.rungs:
        if (rung.shape, rung.batch_tokens) == (base.shape, base.batch_tokens):
            settings = config.training_of(rung).model_dump(mode="json")
    return settings


def _known(config: StudyConfig) -> Known:
    match config:
        case RegretConfig(simulated=None):
            return _known_of(config)
        case RegretConfig():
            raise InputError(
                f"{config.name}: its losses are simulated, so there is no recipe to tune; give a trained one"
            )
        case DriftConfig() | SchedulesConfig():
            return Known(config.search.lr_guess, frozenset(config.search.seeds))
        case _:
            raise InputError(f"{config.name}: this study tunes a recipe itself; run it with `lrladder run`")


def _known_of(config: RegretConfig) -> Known:
    """The LR at which an entry's search begins, and all seeds. muTransfer comes first, because it searches the base."""
    entries = sorted(config.entries.values(), key=lambda entry: entry.paradigm != "mutransfer")
    guesses = [entry.guess for entry in entries if entry.guess is not None]
    if not guesses:
        raise InputError(
            f"{config.name}: no entry has an lr_guess, at which the tuning would start; add lr_guess to an entry"
        )
    own = (getattr(entry.settings, "seeds", ()) for entry in entries)
    single = (getattr(entry.settings, "seed", None) for entry in entries)
    seeds = {*config.validation.seeds, *chain.from_iterable(own), *(seed for seed in single if seed is not None)}
    return Known(guesses[0], frozenset(seeds))


def new_budget(folder: Path, config: TuningConfig) -> Callable[[], None] | None:
    """A function that assigns the folder to `config`, if it has the same tuning with another budget; else None."""
    path = folder / "config.yaml"
    if not (folder / "store.sqlite").exists() or not path.exists():
        return None
    held = load_stored_study(folder)
    if not isinstance(held, TuningConfig) or held.digest == config.digest:
        return None
    if held.model_copy(update={"budget": config.budget}).digest != config.digest:
        return None
    return partial(_retarget, folder, config.digest)


def _retarget(folder: Path, digest: str) -> None:
    Store.reopen(folder).retarget(digest)
