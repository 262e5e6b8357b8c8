"""Recommends the LR and recipe of a finished study, for a rung of its ladder or for a model of the user."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

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
from lrladder.benchmark.recommend.reach import require_reach
from lrladder.benchmark.schedules import Reference, ScheduleConfig
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.entries import EntryConfig
from lrladder.benchmark.studies.regret.making import completed, make_paradigm
from lrladder.benchmark.studies.regret.planned_search import role_search_of
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.benchmark.studies.regret.results import (
    CurveResult,
    GoalAnswer,
    GoalResult,
    ParadigmResult,
    RegretResults,
    TargetResult,
)
from lrladder.benchmark.training.recipe import proposal_trial, trial_recipe
from lrladder.models.rules import Rules
from lrladder.models.shape import ModelShape, nearest_divisor
from lrladder.paradigms.lab import ParametrizationName, Rung
from lrladder.paradigms.mutransfer.paradigm import MuTransfer
from lrladder.paradigms.mutransfer.roles import RoleLrsFound
from lrladder.paradigms.paradigm import NoProposal, Proposal
from lrladder.paradigms.published import FLOPS_PER_PARAMETER
from lrladder.paradigms.sweep.bracket import Cell
from lrladder.paradigms.sweep.curve import Curve

LEARN_FROM_CURVES = ("fitting", "mutransfer", "published")  # paradigms that can answer again from stored curves


class Wanted(NamedTuple):
    """The request of the user. It names a rung, or model sizes by the field names of ModelShape, or only `n_active`.

    Missing sizes are those of the ladder, and expert widths keep their ratio to the width. If a rung is named and
    `tokens` or `batch_tokens` is None, that of the rung is used. If no model is named, the only goal of the study is
    meant. With `force` there is an answer at any distance.
    """

    entry: str | None = None
    rung: str | None = None
    sizes: Mapping[str, int] = {}
    n_active: int | None = None
    tokens: int | None = None
    batch_tokens: int | None = None
    force: bool = False


class Advice(BaseModel):
    """The answer. `lrs` are the LRs to set. They are computed from `lr`, the study's LR, which has a 90% interval.

    If only the number of parameters is known, `recipe`, `schedule` and `reference` are None and `lrs` is empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lrs: dict[str, float]  # peak, by kind of parameter as in the recipe
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
    folded: bool = False  # whether the multipliers of the model's outputs are folded into the other values

    def fold(self) -> "Advice":
        """The answer for a model without multipliers of outputs: they are folded into the other values."""
        if self.recipe is None or not self.recipe.has_multipliers:
            return self
        recipe = self.recipe.folded()
        lrs = {setting.kind: setting.lr for setting in recipe.settings}
        return self.model_copy(update={"recipe": recipe, "lrs": lrs, "folded": True})


class _Bare(NamedTuple):
    """A model with only its active parameters known. Its FLOPs do not include head and attention scores."""

    name: str
    part: Literal["target"]
    n_active: int
    n_total: int
    batch_tokens: int
    horizons: tuple[int, ...]

    @property
    def flops_per_token(self) -> int:
        return FLOPS_PER_PARAMETER * self.n_active


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


def advise(results: RegretResults, wanted: Wanted) -> Advice:
    """The answer to a request. Raises InputError if the study or the request does not allow one."""
    config = _config(results)
    rung = _rung(config, wanted)
    bare = isinstance(rung, _Bare)
    choice = _choice(results, config, wanted, rung)
    name = choice.name
    if bare and config.entries[name].paradigm != "fitting":
        raise InputError(f"--n-active is not enough for {name}: give --width and --depth, or an entry of fitting")
    _require_rules(results, config.entries[name])
    if isinstance(rung, LadderRung):
        _require_decay(config.schedule_of(label_of(config.entries[name].arm)), rung)
    proposal = _propose(results, config, name, rung)
    shape = rung.shape if isinstance(rung, LadderRung) else None
    far = require_reach(proposal.extrapolation, forced=wanted.force)
    trial = proposal_trial(_setup(config, rung), proposal) if isinstance(rung, LadderRung) else None
    recipe = trial_recipe(trial, parametrization=proposal.parametrization) if trial else None
    return Advice(
        lrs={setting.kind: setting.lr for setting in recipe.settings} if recipe else {},
        paradigm=name,
        why=choice.why,
        others=choice.others,
        **proposal.model_dump(include={"parametrization", "lr", "lr_low", "lr_high", "extrapolation"}),
        rung=wanted.rung,
        sizes=shape,
        n_active=rung.n_active,
        tokens=rung.horizons[0],
        batch_tokens=rung.batch_tokens,
        flags=(*far, *proposal.flags, *(_unlike(shape, config.base.shape) if shape else ())),
        recipe=recipe,
        schedule=trial.schedule if trial else None,
        reference=reference(trial) if trial else None,
    )


def _choice(results: RegretResults, config: RegretConfig, wanted: Wanted, rung: LadderRung | _Bare) -> Choice:
    """The entry that answers: the requested one, one that suits the known sizes, or the study's own choice."""
    own = choose(results, rung=wanted.rung, tokens=rung.horizons[0])
    said = f"; the study itself says that {own.why}" if own else ""
    if wanted.entry is not None:
        name = _entry(config, wanted.entry, "")
        return Choice(name, f"asked for{said if own and own.name != name else ''}")
    if isinstance(rung, _Bare):
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


def _rung(config: RegretConfig, wanted: Wanted) -> LadderRung | _Bare:
    """The requested model, with its batch and its single horizon."""
    ways = {"--rung": wanted.rung, "--width and --depth": wanted.sizes, "--n-active": wanted.n_active}
    given = [way for way, value in ways.items() if value]
    if not given and len(config.rungs.goals) == 1:
        return _named_rung(config, config.rungs.goals[0].name, wanted)
    if len(given) != 1:
        what = " and ".join(given) + " exclude each other" if given else "no model is named"
        raise InputError(f"{what}: give one of --rung, --width and --depth, or --n-active")
    if wanted.rung is None and wanted.tokens is None:
        raise InputError("--tokens is missing; give the number of tokens that the model will be trained on")
    if wanted.rung is not None:
        return _named_rung(config, wanted.rung, wanted)
    assert wanted.tokens is not None
    if wanted.n_active is not None:
        return _Bare("own", "target", wanted.n_active, wanted.n_active, _batch(config, wanted), (wanted.tokens,))
    return LadderRung("own", "target", _shape(config, wanted.sizes), _batch(config, wanted), (wanted.tokens,))


def _batch(config: RegretConfig, wanted: Wanted) -> int:
    """Tokens of one step. They are never guessed, because the best LR changes with them."""
    if wanted.batch_tokens is None:
        known = f"the study's base takes {config.base.batch_tokens:,}"
        raise InputError(f"--batch-tokens is missing: how many tokens will one step take? ({known})")
    return wanted.batch_tokens


def _require_decay(schedule: ScheduleConfig, rung: LadderRung) -> None:
    try:
        schedule.require_decay(rung.horizons[0], rung.batch_tokens, where="--tokens")
    except ValueError as error:
        raise InputError(str(error)) from error


def _named_rung(config: RegretConfig, name: str, wanted: Wanted) -> LadderRung:
    if name not in {rung.name for rung in config.rungs}:
        known = ", ".join(rung.name for rung in config.rungs)
        raise InputError(f"--rung {name!r} is not in the ladder; use one of {known}")
    rung = config.rungs.rung(name)
    tokens = wanted.tokens or max(rung.horizons)
    return rung._replace(horizons=(tokens,), batch_tokens=wanted.batch_tokens or rung.batch_tokens)


def _shape(config: RegretConfig, sizes: Mapping[str, int]) -> ModelShape:
    if "width" not in sizes or "depth" not in sizes:
        raise InputError("--width and --depth describe a model together; give both")
    ladder, width = config.ladder, sizes["width"]
    own = {
        **config.base.shape.model_dump(),
        "expert_width": max(1, round(ladder.expert_ratio * width)),
        "shared_width": round(ladder.shared_ratio * width),
        **_heads(config.base.shape, width),
        **sizes,
    }
    has_shared = bool(config.base.shape.shared_width)
    if bool(own["shared_width"]) != has_shared:
        told = "a shared expert; give more than 0" if has_shared else "no shared expert; leave it out"
        raise InputError(f"--shared-width: the study's models have {told}")
    try:
        return ModelShape.model_validate(own)
    except ValidationError as error:
        first = error.errors()[0]
        key = "".join(f"--{str(part).replace('_', '-')}: " for part in first["loc"])
        raise InputError(key + first["msg"].removeprefix("Value error, ")) from error


def _heads(base: ModelShape, width: int) -> dict[str, int]:
    """The numbers of heads in the proportions of the base, if its heads are given."""
    if base.heads is None:
        return {}
    heads = max(1, round(base.heads * width / base.width))
    return {"heads": heads, "kv_heads": nearest_divisor(heads, base.num_kv_heads * width / base.width)}


def _propose(results: RegretResults, config: RegretConfig, name: str, rung: Rung) -> Proposal:
    """The proposal of an entry: from its stored curves if these are enough, else the one that it made in the study."""
    (tokens,) = rung.horizons
    entry = config.entries[name]
    if entry.paradigm not in LEARN_FROM_CURVES:
        return _stored(results, config, name, rung)
    try:
        paradigm = make_paradigm(config, name)
        if isinstance(paradigm, MuTransfer) and role_search_of(entry) is not None:
            paradigm.roles = RoleLrsFound(_role_lrs(results, name), ())
        paradigm.learn(config.rungs, _curves(results, config, name))
        return completed(config, name, paradigm, paradigm.propose(rung, tokens))
    except NoProposal as error:
        raise InputError(f"{results.preset}: {error}; `lrladder status` says what is missing") from error


def _stored(results: RegretResults, config: RegretConfig, name: str, rung: Rung) -> Proposal:
    """The proposal that an entry made in the study. Nothing else is known of a user's class, which is not imported."""
    aims = _aims(results)
    for target in aims:
        same = (target.rung, target.batch_tokens, (target.tokens,)) == (rung.name, rung.batch_tokens, rung.horizons)
        for found in _answers(target) if same else ():
            if found.name == name:
                keys = set(Proposal.model_fields) & set(type(found).model_fields)
                return Proposal(
                    paradigm=name, rung=target.rung, horizon=target.tokens, **found.model_dump(include=keys)
                )
    places = ", ".join(f"{t.rung} at {t.tokens:,} tokens" for t in aims) or "none yet"
    raise InputError(
        f"{results.preset}: {name} ({config.entries[name].paradigm}) answers only for its study's targets and goals: "
        f"{places}"
    )


def _aims(results: RegretResults) -> tuple[TargetResult | GoalResult, ...]:
    return (*results.targets, *results.goals)


def _answers(aim: TargetResult | GoalResult) -> tuple[ParadigmResult, ...] | tuple[GoalAnswer, ...]:
    return aim.paradigms if isinstance(aim, TargetResult) else aim.answers


def _curves(results: RegretResults, config: RegretConfig, name: str) -> dict[Cell, Curve]:
    """The curves of the entry's search. In older results these are the curves of all proxies under its arm."""
    own = next((entry.curves for entry in results.entries if entry.name == name), ())
    proxies, label = {rung.name for rung in config.rungs.proxies}, label_of(config.entries[name].searched)
    shared = [c for c in results.curves if c.rung in proxies and c.parametrization == label]
    return {(found.rung, found.horizon): _curve(found) for found in own or shared}


def _curve(found: CurveResult) -> Curve:
    return Curve(**found.model_dump(exclude={"rung", "horizon", "parametrization"}))


def _role_lrs(results: RegretResults, name: str) -> tuple[tuple[str, float], ...]:
    """The LR multipliers that the search of the entry accepted. All its proposals have the same ones."""
    found = [p.role_lrs for aim in _aims(results) for p in _answers(aim) if p.name == name]
    if not found:
        raise InputError(
            f"{results.preset}: {name} has no proposal with LR multipliers yet; `lrladder status` says what is missing"
        )
    return found[0]


def _setup(config: RegretConfig, rung: LadderRung) -> _Setup:
    return _Setup(config.corpus, config, config.expert_backend, rungs=Ladder([rung]), base=config.base)


def _unlike(shape: ModelShape, base: ModelShape) -> Iterator[str]:
    """Differences between a model and the ladder that no paradigm accounts for."""
    experts = (shape.num_experts, shape.top_k)
    if experts != (base.num_experts, base.top_k):
        yield f"{shape.top_k} of {shape.num_experts} experts, searched at {base.top_k} of {base.num_experts}"
    for name in ("head_size", "vocab_size", "seq_len"):
        if getattr(shape, name) != getattr(base, name):
            yield f"{name} {getattr(shape, name):,}, searched at {getattr(base, name):,}"
