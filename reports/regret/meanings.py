"""What the names of a study stand for: its entries, and its parametrizations with their schedules."""

import re
from collections.abc import Iterable, Mapping

from lrladder.benchmark.studies.regret.recipes import DEFAULT, Arm, label_of
from lrladder.benchmark.studies.regret.results import RegretResults

BUILT_IN = {"sp": "standard parametrization", "mup": "maximal update parametrization, μP"}
_OFF = (None, False, "", "none", "standard")  # values of rules that change nothing
_SAID_APART = ("paradigm", "parametrization", "schedule", "search_schedule")  # the other texts of an entry are settings


def meanings(results: RegretResults) -> dict[str, str]:
    """In a few words, by name; empty where the config of an older version does not tell."""
    found = {}
    for name, entry in _mapping(results.config, "entries").items():
        arm = label_of(Arm(str(entry.get("parametrization")), str(entry.get("schedule", DEFAULT))))
        found[arm] = _of_arm(results, entry)
        found[name] = _of_entry(entry, arm)
    for name in _mapping(results.config, "parametrizations"):
        found.setdefault(name, _of_parametrization(results, name))
    return {name: words for name, words in found.items() if words}


def introduced(sentences: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """The sentences in their order, with the meaning of each name in backticks at its first use."""
    left = dict(known)

    def introduce(found: re.Match[str]) -> str:
        meaning = None if found[2] else left.pop(found[1], None)  # none between a name and its 's
        return found[0] if meaning is None else f"{found[0]} ({meaning})"

    return [re.sub(r"`([^`]+)`('?)", introduce, sentence) for sentence in sentences]


def _of_entry(entry: Mapping[str, object], arm: str) -> str:
    settings = [f"{key} {value}" for key, value in entry.items() if isinstance(value, str) and key not in _SAID_APART]
    budget = entry.get("budget")
    if isinstance(budget, int | float):
        settings.append(f"budget {budget:g} {'run' if budget == 1 else 'runs'} of the largest target")
    return ", ".join([f"{entry.get('paradigm')} under {arm}", *settings])


def _of_arm(results: RegretResults, entry: Mapping[str, object]) -> str:
    name, schedule = str(entry.get("parametrization")), entry.get("schedule", DEFAULT)
    own = _of_parametrization(results, name)
    return own if schedule == DEFAULT else f"{name} under the schedule {schedule}"


def _of_parametrization(results: RegretResults, name: str) -> str:
    if name in BUILT_IN:
        return BUILT_IN[name]
    rules = _mapping(results.config, "parametrizations").get(name, {}).get("rules")
    known = rules.items() if isinstance(rules, dict) else ()
    on = [str(key) if value is True else f"{key} {value}" for key, value in known if value not in _OFF]
    return f"standard parametrization with the rules {', '.join(on)}" if on else ""


def _mapping(config: Mapping[str, object], key: str) -> dict[str, dict[str, object]]:
    found = config.get(key)
    return {str(k): v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}
