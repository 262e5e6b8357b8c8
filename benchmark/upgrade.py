"""Converts configs and results of older versions to this version: pure functions from dicts to new dicts.

Only commands that show a folder use it. Commands that train do not: benchmark.lab.older refuses older folders.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import yaml

Data = dict[str, Any]

# Config keys with a new name, since version 4 of store and trial specification.
RENAMED_KEYS = {
    "optimizer.load_balance": "optimizer.aux_loss_coef",
    "optimizer.router_z": "optimizer.z_loss_coef",
    "optimizer.zero_stage": "training.zero_stage",  # moved within version 4, as it is in no id
}
# Defaults of `validation` before proposals were put on a lattice. Sweeps had all seeds.
OLD_VALIDATION = {"seeds": [0, 1], "oracle_points": 4, "oracle_refine": False, "snap_proposals": False}


def config(data: Mapping[str, Any]) -> Data:
    """The config of a study, or the specification of a trial, with keys that were renamed or replaced since."""
    found = dict(data)
    for old, new in RENAMED_KEYS.items():
        (part, key), (new_part, new_key) = old.split("."), new.split(".")
        if not isinstance(found.get(part), dict) or key not in found[part]:
            continue
        if part == new_part:
            found[part] = _renamed(found[part], key, new_key)
        else:
            value = found[part][key]
            found[part] = {name: other for name, other in found[part].items() if name != key}
            found[new_part] = {**_mapping(found.get(new_part)), new_key: value}
    return _with_entries(found) if isinstance(found.get("paradigms"), dict) else _with_validation(found)


def replaced_paradigms(data: Mapping[str, Any]) -> str:
    """For an error message: what to write instead of the key `paradigms`, as YAML in one line, each key in quotes."""
    given = data["paradigms"]
    found = _entries(given) if isinstance(given, dict) else {"entries": {}}
    return ", ".join(f"'{_flow({key: value})[1:-1]}'" for key, value in found.items())


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False).strip()


def _with_entries(data: Data) -> Data:
    """Replaces `paradigms`, which up to store version 4 held the settings of the four entries; Power had no oracle."""
    given = data["paradigms"]
    found = {key: value for key, value in data.items() if key != "paradigms"} | _entries(given)
    return _with_validation({**found, "validation": {"oracles": ["sp", "mup"], **_mapping(data.get("validation"))}})


def _with_validation(data: Data) -> Data:
    """Adds the defaults of its time to a study with entries that does not set `snap_proposals`."""
    given = _mapping(data.get("validation"))
    if "entries" not in data or given.keys() & {"snap_proposals", "oracle_lean"}:  # the second is younger
        return data
    seeds = given.get("seeds", OLD_VALIDATION["seeds"])
    return {**data, "validation": {**OLD_VALIDATION, "oracle_seeds": seeds, **given}}


def _entries(paradigms: Data) -> Data:
    """The keys that replace `paradigms`. A part that is not a mapping is kept, so that the config check refuses it."""
    fitting, transfer = (_mapping(paradigms.get(name)) for name in ("fitting", "mutransfer"))
    rules = transfer.pop("rules", None)
    mutransfer = {"paradigm": "mutransfer", "parametrization": "mup", **transfer}
    entries: Data = {"fitting": {"paradigm": "fitting", "parametrization": "sp", **fitting}, "mutransfer": mutransfer}
    power, modules = paradigms.get("power", {}), _mapping(paradigms.get("modules"))
    if power is not None:
        entries["mutransfer+power"] = {**copy.deepcopy(mutransfer), "schedule": "power", "search_schedule": "default"}
    if modules:
        entries["mutransfer+modules"] = {**copy.deepcopy(mutransfer), "role_search": modules}
    return {
        **({"base": paradigms["mutransfer_proxy"]} if "mutransfer_proxy" in paradigms else {}),
        **({} if rules is None else {"parametrizations": {"mup": {"rules": rules}}}),
        **({"schedules": {"power": {"kind": "power", **power}}} if power and isinstance(power, dict) else {}),
        "entries": entries,
    }


def _mapping(value: Any) -> Data:
    return dict(value) if isinstance(value, Mapping) else {}


def trial(spec: Mapping[str, Any]) -> Data:
    """The specification of a trial. Version 4 renamed keys of version 3 and changed no number."""
    found = config(spec)
    return {**found, "spec_version": 4} if found.get("spec_version") == 3 else found


def measurement(data: Mapping[str, Any]) -> Data:
    """A measurement. Up to version 3 the verdict could be `preempted`, although no version ever wrote it."""
    if data.get("verdict") != "preempted":
        return dict(data)
    return {**data, "verdict": "failed", "message": data.get("message") or "preempted"}


def results(data: Mapping[str, Any]) -> Data:
    """A results.json of any kind, converted step by step to the current schema. Unknown schemas are not changed.

    Raises ValueError for data that does not follow the schema that it names.
    """
    found = dict(data)
    while (step := _STEPS.get(str(found.get("schema")))) is not None:
        try:
            found = {**step.change(found), "schema": step.to}
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a {found['schema']} file") from error
    return found


def schema(name: str) -> str:
    """The schema to which `results` converts a schema."""
    while name in _STEPS:
        name = _STEPS[name].to
    return name


def is_older(name: str) -> bool:
    """Whether `results` converts this schema to a newer one."""
    return name in _STEPS


def _benchmark_2(data: Data) -> Data:
    """Renames the `verdict` of a target to `conclusion`, and adds `continued` to rungs, from the config."""
    found = _common_2(data)
    rungs = {rung["name"]: rung for rung in found.get("config", {}).get("ladder", {}).get("rungs", ())}
    return {
        **found,
        "targets": [_renamed(target, "verdict", "conclusion") for target in found.get("targets", ())],
        "rungs": [
            {"continued": sorted(rungs.get(rung.get("name"), {}).get("continued", ())), **rung}
            for rung in found.get("rungs", ())
        ],
    }


def _axes_2(data: Data) -> Data:
    """Renames the `verdict` of a variant to `finding`."""
    found = _common_2(data)
    return {
        **found,
        "axes": [
            {**axis, "variants": [_renamed(variant, "verdict", "finding") for variant in axis.get("variants", ())]}
            for axis in found.get("axes", ())
        ],
    }


def _common_2(data: Data) -> Data:
    """The changes that all kinds of studies share."""
    changed = {"measurements": [measurement(m) for m in data.get("measurements", ())]} if "measurements" in data else {}
    return {**data, **changed, **({"config": config(data["config"])} if "config" in data else {})}


def _renamed(data: Mapping[str, Any], old: str, new: str) -> Data:
    """The data with one key renamed, in the same order."""
    return {new if key == old else key: value for key, value in data.items()}


class _Step(NamedTuple):
    """The schema that follows another one, and how its data is converted."""

    to: str
    change: Callable[[Data], Data]


_STEPS = {
    "lrladder.results/1": _Step("lrladder.results/2", _benchmark_2),
    "lrladder.axes/1": _Step("lrladder.axes/2", _axes_2),
    "lrladder.power/1": _Step("lrladder.power/2", _common_2),
}
