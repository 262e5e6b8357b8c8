"""Reads configs from presets and YAML files, checks them, and hashes them. An error is one line that names the key."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ValidationError,
)

from lrladder.benchmark.config import bounded_yaml
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import CONFIG_BYTES, read_text
from lrladder.benchmark.upgrade import RENAMED_KEYS

PRESETS = resources.files("lrladder.benchmark") / "presets"
Config = TypeVar("Config", bound=BaseModel)


def config_digest(config: Mapping[str, Any]) -> str:
    """A hash of a config in 16 hex digits. It does not depend on the order of keys."""
    text = json.dumps(config, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def preset_names() -> list[str]:
    """The names of the presets that come with the package, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in PRESETS.iterdir() if entry.name.endswith(".yaml"))


def read_preset(preset: str) -> str:
    """The YAML text of a preset, or of a file that ends in .yaml or .yml. Raises InputError for anything else."""
    if preset in preset_names():
        return (PRESETS / f"{preset}.yaml").read_text()
    path = Path(preset)
    if path.suffix not in {".yaml", ".yml"}:
        known = suggest(preset, preset_names())
        raise InputError(f"preset {preset!r} is unknown{known}; the name of a file must end in .yaml")
    try:
        return read_text(path, CONFIG_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"{preset}: cannot be read ({error}); give the path of a readable YAML file") from error


def parse_yaml(text: str, *, source: str) -> dict[str, Any]:
    """The mapping in a YAML text, whose origin errors call `source`. Raises InputError if there is no mapping."""
    data = bounded_yaml.load(text, source=source)
    if not isinstance(data, dict):
        held = "is empty" if data is None else f"holds a {type(data).__name__}"
        raise InputError(f"{source}: a config has lines of the form `key: value`, but this file {held}")
    return data


def validate(model: type[Config], data: dict[str, Any], *, source: str) -> Config:
    """The config in `data`. Raises InputError with one line that names the key."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error, model)}") from error


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One fault, in words: an unknown key first and a missing key last, as the unknown one may be meant for it."""
    faults = sorted(error.errors(), key=lambda fault: _ORDER.get(fault["type"], 1))
    first = faults[0]
    key = ".".join(str(part) for part in first["loc"])
    if key in RENAMED_KEYS:
        return f"key {key} is now called {RENAMED_KEYS[key]}: rename it"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}{_meant(first['loc'], model)}"
    if first["type"] == "missing":
        return f"key {key} is missing"
    message = _remedy(first["type"], first["input"]) or first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


_ORDER = {"extra_forbidden": 0, "missing": 2}


def _remedy(kind: str, given: object) -> str | None:
    """What to write instead, for the most common mistakes; None if pydantic's own message is clear enough."""
    if kind == "union_tag_not_found":
        return "key kind is missing"
    if kind in ("tuple_type", "list_type", "set_type", "frozen_set_type") and isinstance(given, str | int | float):
        return f"must be a list; write [{json.dumps(given)}]"
    if kind.startswith(("int_", "float_")) and isinstance(given, str):
        try:
            number = float(given)
        except ValueError:
            return None
        return f"{given!r} is text in YAML; write {number:.12g}"
    return None


def _meant(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """The end of a message about an unknown key: the most similar known key, else all keys of its section."""
    close = difflib.get_close_matches(str(loc[-1]), _own_keys(model, loc[:-1]) or _known_keys(model), n=1)
    close = close or difflib.get_close_matches(str(loc[-1]), _known_keys(model), n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    here = _own_keys(model, loc[:-1])
    where = ".".join(str(part) for part in loc[:-1]) or "the config"
    return f"; {where} has {', '.join(here)}" if here else ""


def _own_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at `loc`; empty if its type is not one model."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _models(field.annotation) if field else []
        if len(inner) != 1:
            return []
        model = inner[0]
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _known_keys(model: type[BaseModel]) -> list[str]:
    """The keys of a model and of all models inside it."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(field.alias or name)
        for kind in _models(field.annotation):
            keys += _known_keys(kind)
    return keys


def _models(annotation: object) -> list[type[BaseModel]]:
    """All models that occur in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def suggest(word: str, known: list[str]) -> str:
    """The end of a message about an unknown word: the most similar known word, else all known words."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(set(known)))}"
