"""Makes the paradigm and the lab of each entry from the config, and completes the proposals of the paradigm."""

from pydantic import ValidationError

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.entries import EntryConfig
from lrladder.benchmark.studies.regret.recipes import DEFAULT, Arm, label_of
from lrladder.paradigms import registry
from lrladder.paradigms.entry_lab import EntryLab, Limits
from lrladder.paradigms.lab import Lab
from lrladder.paradigms.mutransfer.horizon_rule import HorizonRule
from lrladder.paradigms.paradigm import Paradigm, Proposal, Terms

AT_TARGET = "its search trained on this target itself"
UNDECAYED = "its search read an average of the weights in place of decays, which may have another best LR"


def make_paradigm(config: RegretConfig, name: str, *, from_here: bool = False) -> Paradigm:
    """The paradigm of the entry with this name. `from_here` also imports from the working directory.

    Raises InputError with one line if a class of the user's own cannot be imported or refuses its settings.
    """
    entry = config.entries[name]
    try:
        make = registry.load(entry.paradigm, from_here=from_here)
        return make(_settings(entry, make), terms_of(config, name))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(("entries", name, *map(str, first["loc"])))
        raise InputError(f"{key}: {first['msg']}") from error
    except ValueError as error:
        raise InputError(f"entries.{name}: {error}") from error


def require_paradigms(config: RegretConfig, *, from_here: bool) -> None:
    """Imports every paradigm that is not shipped, so that a fault is found before anything is trained.

    Raises InputError.
    """
    for name, entry in config.entries.items():
        if entry.paradigm not in registry.SHIPPED:
            make_paradigm(config, name, from_here=from_here)


def _settings(entry: EntryConfig, make: object) -> object:
    """The settings of an entry. A class of the user's own checks them if it has a class named `Settings`."""
    model = getattr(make, "Settings", None)
    if entry.paradigm in registry.SHIPPED or model is None:
        return entry.settings
    return model.model_validate(entry.settings.model_dump())


def terms_of(config: RegretConfig, name: str) -> Terms:
    """What the paradigm of an entry is told about the study."""
    entry = config.entries[name]
    base = config.base_rung_of(label_of(entry.arm))
    return Terms(name, base, entry.budget, horizon_rule(config, entry.arm))


def horizon_rule(config: RegretConfig, arm: Arm) -> HorizonRule:
    """The rule by which an arm carries an LR to another horizon.

    It is the one among the rules of the parametrization, or `power` if the arm has a Power schedule.
    """
    if arm.schedule != DEFAULT and config.schedule_of(label_of(arm)).kind == "power":
        return "power"
    return config.rules_of(label_of(arm)).horizon


def entry_lab(config: RegretConfig, name: str, lab: Lab, paradigm: Paradigm) -> EntryLab:
    """The study's lab as an entry's search sees it."""
    entry = config.entries[name]
    return EntryLab(
        lab,
        config.rungs,
        payer=name,
        parametrization=label_of(entry.searched),
        limits=Limits(entry.budget, paradigm.searches_targets, config.validation.seeds),
    )


def completed(config: RegretConfig, name: str, paradigm: Paradigm, proposal: Proposal) -> Proposal:
    """A proposal with the name and arm of its entry, the exponent of its horizon rule, and flags about its search."""
    label, exponent = label_of(config.entries[name].arm), proposal.horizon_exponent
    changes = {
        "paradigm": name,
        "parametrization": label,
        "horizon_exponent": default_exponent(config, label) if exponent is None else exponent,
        "flags": (*_flags(config.entries[name], paradigm), *proposal.flags),
    }
    return proposal.model_copy(update=changes)


def _flags(entry: EntryConfig, paradigm: Paradigm) -> tuple[str, ...]:
    """Texts that say what weakens every proposal of an entry."""
    return (*((AT_TARGET,) if paradigm.searches_targets else ()), *((UNDECAYED,) if entry.read == "ema" else ()))


def default_exponent(config: RegretConfig, label: str) -> float | None:
    """The horizon exponent at a target if no proposal has one: 0 under a fitted horizon rule, else None."""
    return 0.0 if config.rules_of(label).horizon == "fitted" else None
