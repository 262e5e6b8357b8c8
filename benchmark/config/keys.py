"""The keys of a model of a config: type and default in words, and what a key means."""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NOUNS = {bool: "true or false", int: "integer", float: "number", str: "text"}


class Key(NamedTuple):
    """One key of a config. `value` is its type; that and `default` are markdown. `models` are the sections in it."""

    name: str
    value: str
    default: str
    description: str
    models: tuple[type[BaseModel], ...]


def own_keys(model: type[BaseModel]) -> Iterator[Key]:
    """The keys that a model itself defines, and does not inherit, in their order."""
    for name, below in _annotated(model).items():
        if field := model.model_fields.get(name):
            text = field.description or below
            yield Key(
                name=field.alias or name,
                value=_type(field.annotation, field.metadata),
                default=_default(field),
                description=" ".join(text.split()),
                models=tuple(models_in(field.annotation)),
            )


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """All models that occur in the type of a key."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def title(model: type[BaseModel]) -> str:
    """The name of a class in words, such as "Rung config"."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in model.__name__)
    return words.strip().capitalize()


def anchor(model: type[BaseModel]) -> str:
    """The fragment with which GitHub marks the heading of a model."""
    return title(model).lower().replace(" ", "-")


def _annotated(model: type[BaseModel]) -> dict[str, str]:
    """The names with a type in the body of a class, and the string below each; empty if there is none.

    It is read from the source, as pydantic's `use_attribute_docstrings` would do at every import of a config.
    """
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in pairwise((*definition.body, ast.Pass())):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            found[field.target.id] = str(ast.literal_eval(below.value)) if isinstance(below, ast.Expr) else ""
    return found


def _type(annotation: Any, metadata: list[Any]) -> str:
    """A type in words, with its limits."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated
        return _type(inner[0], [*annotation.__metadata__, *metadata])
    if origin is Literal:
        return _or([f"`{value}`" for value in inner])
    if origin in (Union, UnionType):
        return _or(["null" if part is NoneType else _type(part, metadata) for part in inner])
    if origin is tuple:
        return f"list of {_plural(_type(inner[0], []))}{_length(metadata)}"
    if origin is dict:
        names = _type(inner[0], []) if get_origin(inner[0]) is Literal else "names"
        return f"mapping of {names} to {_type(inner[1], [])}{_length(metadata)}"
    if issubclass(annotation, BaseModel):
        return f"[{title(annotation)}](#{anchor(annotation)})"
    return _NOUNS[annotation] + (_length(metadata, " characters") if annotation is str else _range(metadata))


def _limits(metadata: list[Any], words: Mapping[str, str]) -> str:
    """The limits of a value in words; `words` has the names of limits, as annotated_types calls them."""
    flat: list[Any] = []
    for one in metadata:
        flat += one.metadata if isinstance(one, FieldInfo) else [one]
    found = {name: getattr(one, name) for one in flat for name in words if hasattr(one, name)}
    return " and ".join(f"{word} {_number(found[name])}" for name, word in words.items() if name in found)


def _number(limit: float) -> str:
    return "2^63" if limit == 2**63 else f"{limit:,}"


def _or(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _plural(words: str) -> str:
    return re.sub(r"\b(integer|number|text)\b", r"\1s", words, count=1)


def _range(metadata: list[Any]) -> str:
    said = _limits(metadata, {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"})
    return f" {said}" if said else ""


def _length(metadata: list[Any], of: str = "") -> str:
    said = _limits(metadata, {"min_length": "at least", "max_length": "at most"})
    return f" ({said}{of})" if said else ""


def _default(field: FieldInfo) -> str:
    """The default as YAML; `required` where there is none."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
        return f"`{_yaml(value)}`" if value else "its defaults"
    return f"`{_yaml(value)}`"


def _yaml(value: object) -> str:
    if isinstance(value, Mapping | tuple | list):
        plain = json.loads(json.dumps(value))
        return yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=1000).strip()
    if isinstance(value, float):
        return f"{value:.12g}"
    return value if isinstance(value, str) and value else json.dumps(value)
