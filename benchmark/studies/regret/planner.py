"""Plans every run of a regret study before anything runs, with the notes that `lrladder plan` prints."""

from collections.abc import Iterator

from lrladder.benchmark.config.lab import HERE
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.planner import Lrs, Sweep, extensions
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.entries import ORACLE, EntryConfig
from lrladder.benchmark.studies.regret.goal_notes import goal_notes
from lrladder.benchmark.studies.regret.making import horizon_rule
from lrladder.benchmark.studies.regret.planned_search import planned_search, role_search_of
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.paradigms import registry
from lrladder.paradigms.published import SDE_D

NOTES = (
    "the LRs of validation runs come from the searches; the oracle's sweeps start at the proposals",
    "there is one validation run per entry, horizon and seed; runs that share an LR and a seed are trained once",
)
LEAN_NOTE = (
    "the oracle's sweeps are lean: each shares an LR with a proposal, and has all its seeds only at the three LRs "
    "nearest to the minimum (docs/decision.md)"
)
EXTERNAL_NOTE = (
    "the runs at {parts} are trained elsewhere; their memory and time here are what our own trainer would take"
)
SIMULATED_NOTE = (
    "the config asks for simulated losses, so `run` trains nothing; FLOPs and time are what training would take"
)


def notes(config: RegretConfig) -> tuple[str, ...]:
    """What a reader of the plan must know beside its numbers, one sentence each."""
    found: tuple[str, ...] = NOTES if config.simulated is None else (SIMULATED_NOTE, *NOTES)
    if config.validation.oracle_lean and config.rungs.targets:
        found += (LEAN_NOTE,)
    if config.lab != HERE:
        found += (EXTERNAL_NOTE.format(parts=", ".join(config.lab.parts)),)
    for name, entry in config.entries.items():
        if entry.paradigm not in registry.SHIPPED:
            aim = "target or goal" if config.rungs.goals else "target"
            most = "has no budget" if entry.budget is None else f"may cost {entry.budget:g} runs of the largest {aim}"
            found += (f"the search of {name} is not in the plan, because {entry.paradigm} decides it; it {most}",)
    return (*found, *goal_notes(config))


def sweeps(config: RegretConfig) -> Iterator[Sweep]:
    """The planned sweeps: searches, validation, oracle and ablations."""
    yield from _searches(config)
    for sweep in _at_targets(config):
        is_fitted = config.rules_of(sweep.parametrization).horizon == "fitted"
        # A fitted exponent is not known yet. Any value but 0 makes the LR depend on the horizon, as it will.
        yield sweep._replace(horizon_exponent=SDE_D if is_fitted else None)


def _at_targets(config: RegretConfig) -> Iterator[Sweep]:
    for rung in config.rungs.targets:
        for name, entry in config.entries.items():
            proposal: Lrs = [(None, _shares_runs(config, name))]
            for horizons in _validated(config, entry, rung):
                seeds = config.validation.seeds
                yield Sweep("validation", "validation", rung, label_of(entry.arm), proposal, seeds, horizons)
    for rung in config.rungs.targets:
        for label in config.labels:
            yield from _lean(config, rung, label) if config.validation.oracle_lean else [_oracle(config, rung, label)]
    for entry in config.entries.values():
        yield from _ablation(config, entry)


def _searches(config: RegretConfig) -> Iterator[Sweep]:
    """The searches of all entries. If two entries sweep the same known LRs, the sweep is planned once."""
    seen = set()
    for name in config.entries:
        for sweep in planned_search(config, name):
            key = (*sweep[1:4], tuple(sweep.lrs), *sweep[5:])
            if key not in seen or sweep.lrs[0][0] is None:
                seen.add(key)
                yield sweep


def _shares_runs(config: RegretConfig, name: str) -> bool:
    """Whether another entry differs from this one only in having no search for multipliers of roles.

    Then both propose the same runs, unless this entry's search accepts a multiplier.
    """
    own = config.entries[name]
    if role_search_of(own) is None:
        return False
    plain = own.model_copy(update={"settings": own.settings.model_copy(update={"role_search": None})})
    return any(entry == plain for entry in config.entries.values())


def _oracle(config: RegretConfig, rung: Rung, label: str) -> Sweep:
    validation = config.validation
    grid: Lrs = [(None, False)] * validation.oracle_points
    grid += extensions(rung, validation.max_extensions)
    if validation.oracle_refine:  # two half steps if all horizons have the same best LR, else two for each horizon
        grid += [(None, i >= 2) for i in range(2 * len(rung.horizons))]
    return Sweep(f"{ORACLE}{label}", "oracle", rung, label, grid, validation.sweep_seeds, rung.read)


def _lean(config: RegretConfig, rung: Rung, label: str) -> Iterator[Sweep]:
    """A lean sweep: LRs with the first seed alone, then the other seeds and a half step beside each best LR.

    The LR in its middle is that of a proposal, whose runs are planned there. It is planned again, as an extension, for
    the case that another LR is better.
    """
    validation, horizons = config.validation, len(rung.horizons)
    first, others = validation.sweep_seeds[:1], validation.sweep_seeds[1:]
    grid: Lrs = [*[(None, False)] * (validation.oracle_points - 1), *extensions(rung, validation.max_extensions)]
    beside: Lrs = [(None, i >= 1) for i in range(2 * horizons)]
    half: Lrs = [(None, i >= 1) for i in range(horizons)]
    for lrs, seeds in ((grid, first), (beside, others), (half, validation.sweep_seeds)):
        yield Sweep(f"{ORACLE}{label}", "oracle", rung, label, lrs, seeds, rung.read)


def _validated(config: RegretConfig, entry: EntryConfig, rung: Rung) -> list[tuple[int, ...]]:
    """Groups of horizons that one run serves: all of them if the LR does not depend on the horizon."""
    if entry.paradigm == "mutransfer" and horizon_rule(config, entry.arm) == "power":
        return [rung.read]
    return [*((h,) for h in rung.horizons[:-1]), (rung.horizons[-1], *rung.continued)]


def _ablation(config: RegretConfig, entry: EntryConfig) -> Iterator[Sweep]:
    roles = role_search_of(entry)
    if roles is None or not roles.ablate:
        return
    tried: Lrs = [(None, False)] * (2 * len(roles.roles))
    for rung in config.rungs.targets:
        for horizon in rung.horizons:
            label, seeds = label_of(entry.arm), config.validation.seeds
            yield Sweep("ablation", "roles", rung, label, tried, seeds, (horizon,))
