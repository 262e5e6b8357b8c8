"""The registry of all paradigms by name, for studies, simulations and replays.

The settings of a paradigm are known at once; its class is imported when it runs, because that takes time.

A paradigm of the user's own is written as `package.module:Class`, or has a name in the entry-point group
`lrladder.paradigms` of an installed package.
"""

import importlib
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from lrladder.paradigms.paradigm import MakeParadigm, Paradigm
from lrladder.paradigms.published import LAWS
from lrladder.paradigms.settings import (
    AnySettings,
    ConstantSettings,
    FittingSettings,
    GridSettings,
    MuTransferSettings,
    PublishedSettings,
    Settings,
    TuningSettings,
)

GROUP = "lrladder.paradigms"


class Shipped(NamedTuple):
    """A paradigm that comes with LR Ladder. `make` is the path of a class or function that takes settings and terms."""

    settings: type[Settings]
    make: str
    searches_targets: bool = False


_HERE = "lrladder.paradigms"
SHIPPED = {
    "fitting": Shipped(FittingSettings, f"{_HERE}.strategies.entries:make_fitting"),
    "mutransfer": Shipped(MuTransferSettings, f"{_HERE}.mutransfer.paradigm:MuTransfer"),
    "nearest_cell": Shipped(GridSettings, f"{_HERE}.strategies.entries:make_nearest_cell"),
    "constant": Shipped(ConstantSettings, f"{_HERE}.strategies.entries:make_constant"),
    "published": Shipped(PublishedSettings, f"{_HERE}.strategies.entries:make_published"),
    "tpe": Shipped(TuningSettings, f"{_HERE}.strategies.at_target:make_tpe", searches_targets=True),
    "random": Shipped(TuningSettings, f"{_HERE}.strategies.at_target:make_random", searches_targets=True),
}


class Named(NamedTuple):
    """A name for a paradigm with some of its settings."""

    paradigm: str
    settings: Mapping[str, Any]
    has_budget: bool = False  # whether it adapts its search to its budget


TRIALS = (3, 5)  # numbers of trials of the tuners at the target that `replay` scores
# The names that `replay` scores. Apart from lr_guess, which a replay does not need, all settings have defaults.
NAMED: Mapping[str, Named] = {
    "fitting": Named("fitting", {}),
    **{name: Named("fitting", {"strategy": name}, has_budget=True) for name in ("search_factor", "economy", "active")},
    "search_factor_if_noisy": Named("fitting", {"strategy": "search_factor", "confirm": "if_noisy"}, has_budget=True),
    "nearest_cell": Named("nearest_cell", {}),
    **{f"constant_{by}": Named("constant", {"by": by}) for by in ("median", "best")},
    **{f"{law.name}_published": Named("published", {"law": law.name, "prefactor": "published"}) for law in LAWS},
    **{f"{law.name}_refitted": Named("published", {"law": law.name, "prefactor": "cells"}) for law in LAWS},
    **{f"random_{trials}": Named("random", {"trials": trials}) for trials in TRIALS},
    **{f"tpe_{trials}": Named("tpe", {"trials": trials}) for trials in TRIALS},
}


def resolved(name: str) -> Named:
    """The paradigm and settings that a name stands for. Raises ValueError for an unknown name."""
    if name in NAMED:
        return NAMED[name]
    if name in SHIPPED or _is_path(name):
        return Named(name, {}, has_budget=name not in SHIPPED)
    for found in entry_points(group=GROUP):
        if found.name == name:
            return Named(found.value, {}, has_budget=True)
    known = ", ".join(dict.fromkeys((*SHIPPED, *NAMED)))
    raise ValueError(f"paradigm {name!r} is unknown; give one of {known}, or package.module:Class of your own")


def _is_path(name: str) -> bool:
    module, colon, attribute = name.partition(":")
    return bool(colon) and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


def settings_model(name: str) -> type[Settings]:
    """The class of the settings of a paradigm."""
    return SHIPPED[name].settings if name in SHIPPED else AnySettings


def searches_targets(name: str) -> bool | None:
    """Whether the search of a paradigm runs targets; None for a class of the user's own, which is not imported here."""
    return SHIPPED[name].searches_targets if name in SHIPPED else None


def load(name: str, *, from_here: bool = False) -> MakeParadigm:
    """The class or function that makes a paradigm.

    Raises ValueError with one line for a class that cannot be imported or is not a paradigm.
    A class of the user's own is imported from installed packages or, with `from_here`, from the working directory.
    """
    if name in SHIPPED:
        return _attribute(SHIPPED[name].make)
    _require_installed(name.partition(".")[0].partition(":")[0], from_here)
    found = _attribute(name)
    if not (isinstance(found, type) and issubclass(found, Paradigm)):
        raise ValueError(f"{name} is not a subclass of lrladder.paradigms.paradigm.Paradigm")
    return found


def _attribute(path: str) -> MakeParadigm:
    module, _, attribute = path.partition(":")
    try:
        found: MakeParadigm = getattr(importlib.import_module(module), attribute)
    except AttributeError as error:
        raise ValueError(f"{module} has no {attribute}") from error
    except Exception as error:  # whatever the user's module does when it is imported
        raise ValueError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    return found


def _require_installed(package: str, from_here: bool) -> None:
    """Raise ValueError for a package that is not installed.

    With `from_here` a package in the working directory is allowed, and the directory is added to the path.
    """
    if package in sys.modules:
        return
    here = Path.cwd()
    elsewhere = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    if PathFinder.find_spec(package, elsewhere) is not None:
        return
    if PathFinder.find_spec(package, [str(here)]) is None:
        raise ValueError(f"no installed package is called {package}")
    if not from_here:
        raise ValueError(f"{package} is in the working directory and not installed: allow it with --allow-import")
    if str(here) not in sys.path:
        sys.path.insert(0, str(here))
