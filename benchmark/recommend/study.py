"""Recommends the LR and recipe of a finished study, for a rung of its ladder or for a model of the user."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from lrladder.benchmark import upgrade
from lrladder.benchmark.config.parts import CorpusConfig, OptimizerConfig, RecipeConfig
from lrladder.benchmark.config.text import suggest
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.lab.trial import reference
from lrladder.benchmark.ladder import Base, Ladder
from lrladder.benchmark.ladder import Rung as LadderRung
from lrladder.benchmark.recommend.choice import Choice, choose
from lrladder.benchmark.recommend.mistake import Mistake
from lrladder.benchmark.recommend.proposed import propose
from lrladder.benchmark.recommend.reach import CHECKED, require_reach
from lrladder.benchmark.recommend.sanity import Target
from lrladder.benchmark.recommend.study_price import bands_in, price
from lrladder.benchmark.recommend.tripwires import Band
from lrladder.benchmark.recommend.wanted import Bare, Wanted, wanted_rung
from lrladder.benchmark.schedules import Reference, ScheduleConfig
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.entries import EntryConfig
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.results import SIMULATED
from lrladder.benchmark.training.recipe import proposal_trial, trial_recipe
from lrladder.models.rules import Rules
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import ParametrizationName
from lrladder.paradigms.paradigm import Proposal


class Advice(BaseModel):
    """The answer. `lrs` are the LRs to set. They are computed from `lr`, the study's LR, which has a 90% interval.

    If only the number of parameters is known, `recipe`, `schedule` and `reference` are None and `lrs` is empty. Then
    `lr` is that of the matrices, and `lr_ratios` has the roles that the study trains at a multiple of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lrs: dict[str, float]  # peak, by kind of parameter as in the recipe
    lr_ratios: dict[str, float] = {}  # by role; empty if there is a recipe, whose LRs contain them
    paradigm: str  # the entry that answers
    why: str  # why this entry answers
    others: tuple[str, ...]  # entries that are not measurably worse in the study
    parametrization: ParametrizationName
    rung: str | None
    sizes: ModelShape | None
    n_active: int
    tokens: int
    batch_tokens: int
    lr: float
    lr_low: float | None  # None for an entry that gives no interval
    lr_high: float | None
    extrapolation: float  # FLOPs of the run / FLOPs of the largest searched run
    flags: tuple[str, ...]
    recipe: Recipe | None
    schedule: ScheduleConfig | None
    reference: Reference | None  # batch and horizon at which the peak of a Power schedule is the given LRs
    arm: ParametrizationName = ""  # the label of the parametrization and schedule of the run, as `watch --arm` takes it
    mistake: Mistake | None = None  # what `lr` costs if the best LR is at an end of its interval; None without one
    bands: tuple[Band, ...] = ()  # of the loss and the gradient norm of a healthy run, from the logs of the study
    folded: bool = False  # whether the multipliers of the model's outputs are folded into the other values

    def fold(self) -> "Advice":
        """The answer for a model without multipliers of outputs: they are folded into the other values."""
        if self.recipe is None or not self.recipe.has_multipliers:
            return self
        recipe = self.recipe.folded()
        return self.model_copy(update={"recipe": recipe, "lrs": recipe.lrs, "folded": True})


class _Setup(NamedTuple):
    """The setup of a study, but with the user's model as its only rung."""

    corpus: CorpusConfig
    study: RegretConfig
    expert_backend: str
    rungs: Ladder
    base: Base

    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        return self.study.rules_of(parametrization)

    def base_of(self, rung: LadderRung, parametrization: ParametrizationName) -> Base:
        return self.study.base_of(rung, parametrization)

    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig:
        return self.study.schedule_of(parametrization)

    def optimizer_of(self, parametrization: ParametrizationName) -> OptimizerConfig:
        return self.study.optimizer_of(parametrization)

    def recipe_of(self, parametrization: ParametrizationName) -> RecipeConfig:
        return self.study.recipe_of(parametrization)

    def training_of(self, rung: LadderRung) -> TrainingSettings:
        return TrainingSettings()  # a recipe does not depend on it


def advise(
    results: RegretResults, wanted: Wanted, *, folder: Path | None = None, tflops: float | None = None
) -> Advice:
    """The answer to a request. Raises InputError if the study or the request does not allow one.

    `folder` is that of the study; its logs give the bands. One GPU sustains `tflops`.
    """
    config = _config(results)
    rung = wanted_rung(config, wanted)
    bare = isinstance(rung, Bare)
    choice = _choice(results, config, wanted, rung)
    name = choice.name
    if bare and config.entries[name].paradigm != "fitting":
        raise InputError(f"--n-active is not enough for {name}: give --width and --depth, or an entry of fitting")
    _require_rules(results, config.entries[name])
    if isinstance(rung, LadderRung):
        _require_decay(config.schedule_of(label_of(config.entries[name].arm)), rung)
    proposal = propose(results, config, name, rung)
    shape = rung.shape if isinstance(rung, LadderRung) else None
    weak = tuple(_unlike(shape, config.base.shape) if shape else _assumed(results, name, wanted, rung))
    simulated = (SIMULATED,) if results.lab == "simulated" else ()
    far = require_reach(proposal.extrapolation, forced=wanted.force, nearer=_nearer(results, config, choice, rung))
    trial = proposal_trial(_setup(config, rung), proposal) if isinstance(rung, LadderRung) else None
    recipe = trial_recipe(trial, parametrization=proposal.parametrization) if trial else None
    return Advice(
        lrs=recipe.lrs if recipe else {},
        lr_ratios={} if recipe else _ratios(config, proposal),
        paradigm=name,
        why=choice.why,
        others=choice.others,
        **proposal.model_dump(include={"parametrization", "lr", "lr_low", "lr_high", "extrapolation"}),
        rung=wanted.rung,
        sizes=shape,
        n_active=rung.n_active,
        tokens=rung.horizons[0],
        batch_tokens=rung.batch_tokens,
        flags=(*simulated, *far, *proposal.flags, *weak),
        recipe=recipe,
        schedule=trial.schedule if trial else None,
        reference=reference(trial) if trial else None,
        **_risk(results, config, proposal, rung, folder=folder, tflops=tflops),
    )


def _risk(
    results: RegretResults,
    config: RegretConfig,
    proposal: Proposal,
    rung: LadderRung | Bare,
    *,
    folder: Path | None,
    tflops: float | None,
) -> dict[str, Any]:
    """The fields `arm`, `mistake` and `bands` of an answer."""
    name, target = proposal.paradigm, Target(rung.n_active, rung.horizons[0])
    arm = label_of(config.entries[name].arm)
    return {
        "arm": arm,
        "mistake": price(results, config, name, proposal, target, tflops=tflops),
        "bands": bands_in(folder, arm=arm, target=target) if folder else (),
    }


def _choice(results: RegretResults, config: RegretConfig, wanted: Wanted, rung: LadderRung | Bare) -> Choice:
    """The entry that answers: the requested one, one that suits the known sizes, or the study's own choice."""
    own = choose(results, rung=wanted.rung, tokens=rung.horizons[0])
    said = f"; the study itself says that {own.why}" if own else ""
    if wanted.entry is not None:
        name = _entry(config, wanted.entry, "")
        return Choice(name, f"asked for{said if own and own.name != name else ''}")
    if isinstance(rung, Bare):
        return Choice(_entry(config, None, "fitting"), f"only its law needs nothing but the number of parameters{said}")
    nobody = "no target of the study has a winner, or a cheapest that is not worse"
    if not config.rungs.targets:
        nobody = "the study has goals alone, so its entries cannot be compared"
    return own or Choice(_entry(config, None, "mutransfer"), nobody)


def _config(results: RegretResults) -> RegretConfig:
    try:
        return RegretConfig.model_validate(upgrade.config(results.config))
    except ValidationError as error:
        raise InputError(f"{results.preset}: its config is of another version; run the study again") from error


def _entry(config: RegretConfig, asked: str | None, paradigm: str) -> str:
    """The name of the entry that answers: the requested one, else the first of a paradigm, else the first."""
    if asked is None:
        own = [name for name, entry in config.entries.items() if entry.paradigm == paradigm]
        return (own or list(config.entries))[0]
    if asked not in config.entries:
        raise InputError(f"--entry {asked} is not in the study{suggest(asked, list(config.entries))}")
    return asked


def _require_rules(results: RegretResults, entry: EntryConfig) -> None:
    """Raise InputError for very old results. They do not name their rules, and today's rules are not the same."""
    named = _part(upgrade.config(results.config), "parametrizations")
    if entry.parametrization != "sp" and "rules" not in _part(named, entry.parametrization):
        raise InputError(f"{results.preset}: its results name no rules of {entry.parametrization}; run the study again")


def _part(data: Mapping[str, object], key: str) -> dict[str, object]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _require_decay(schedule: ScheduleConfig, rung: LadderRung) -> None:
    try:
        schedule.require_decay(rung.horizons[0], rung.batch_tokens, where="--tokens")
    except ValueError as error:
        raise InputError(str(error)) from error


def _setup(config: RegretConfig, rung: LadderRung) -> _Setup:
    return _Setup(config.corpus, config, config.expert_backend, rungs=Ladder([rung]), base=config.base)


def _ratios(config: RegretConfig, proposal: Proposal) -> dict[str, float]:
    """LRs of roles divided by that of the matrices, where the base recipe has them differ."""
    ratios = config.recipe_of(proposal.parametrization).role_lrs(tied=config.base.shape.architecture.tied)
    return {str(role): ratio for role, ratio in ratios.items() if ratio != 1}


def _nearer(results: RegretResults, config: RegretConfig, choice: Choice, rung: LadderRung | Bare) -> Iterator[str]:
    """Entries that the study does not find worse than the chosen one, and that searched larger models."""
    for name in choice.others:
        with suppress(InputError):
            if propose(results, config, name, rung).extrapolation <= CHECKED:
                yield name


def _assumed(results: RegretResults, name: str, wanted: Wanted, rung: LadderRung | Bare) -> Iterator[str]:
    """What a law that counts all parameters had to assume, if only the active ones are known."""
    law = next((entry.law for entry in results.entries if entry.name == name), results.law)
    if law is not None and law.size != "active" and wanted.n_total is None:
        how = "a dense model" if rung.n_total == rung.n_active else "a model as sparse as the study's goal"
        yield f"--n-total is not given, so the law, which depends on it, takes {rung.n_total:,}, as of {how}"


def _unlike(shape: ModelShape, base: ModelShape) -> Iterator[str]:
    """Differences between a model and the ladder that no paradigm accounts for."""
    experts = (shape.num_experts, shape.top_k)
    if experts != (base.num_experts, base.top_k):
        yield f"{shape.top_k} of {shape.num_experts} experts, searched at {base.top_k} of {base.num_experts}"
    for name in ("head_size", "vocab_size", "seq_len"):
        if getattr(shape, name) != getattr(base, name):
            yield f"{name} {getattr(shape, name):,}, searched at {getattr(base, name):,}"
