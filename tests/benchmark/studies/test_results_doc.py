"""docs/results.md and the schemas of results.json, field by field: neither may name what the other does not have."""

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest
from pydantic import BaseModel

from lrladder.benchmark.studies.drift.results import DriftResults
from lrladder.benchmark.studies.recipe.results import TuningResults
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.schedules.results import SchedulesResults
from tests.paths import ROOT

KINDS: dict[str, type[BaseModel]] = {
    "results.json": RegretResults,
    "Drift studies": DriftResults,
    "Studies of schedules": SchedulesResults,
    "Tuned recipes": TuningResults,
}
# in backticks, and no field: values, names of commands and of rules, what stands in for a number
WORDS = {
    "validation",
    "ablation",
    "sp",
    "mup",
    "fitting",
    "mutransfer",
    "null",
    "false",
    "report",
    "compare",
    "recommend",
    "status",
    "index",
    "extend",
    "off",
}
WORDS |= {
    "kind",
    "kv_a",
    "attention_qkv",
    "attention_out",
    "norm_block",
    "norm_final",
    "overlap",
    "documents",
    "mixture",
}


class Part(NamedTuple):
    """A model in a schema, by its path; `[]` stands for a list, `.*` for the values of a mapping."""

    path: str
    model: type[BaseModel]


def parts(model: type[BaseModel], path: str = "") -> Iterator[Part]:
    yield Part(path, model)
    for name, field in model.model_fields.items():
        for inner, suffix in _models(field.annotation):
            yield from parts(inner, f"{path}.{name}{suffix}".lstrip("."))


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    suffix = {tuple: "[]", dict: ".*"}.get(get_origin(annotation), "")
    for inner in get_args(annotation) if get_origin(annotation) is not Literal else ():
        yield from ((model, suffix or deeper) for model, deeper in _models(inner))


def fields(model: type[BaseModel]) -> set[str]:
    return {"schema" if name == "schema_" else name for name in model.model_fields}


def literals(annotation: Any) -> set[str]:
    if get_origin(annotation) is Literal:
        return {str(value) for value in get_args(annotation)}
    return set().union(*(literals(inner) for inner in get_args(annotation)))


def sections(kind: str) -> dict[str, str]:
    """The text of a kind's chapter by the path in its headings; the top level has none."""
    chapters = re.split(r"^# ", (ROOT / "docs" / "results.md").read_text(), flags=re.MULTILINE)
    chapter = next(text for text in chapters if text.startswith(kind))
    found = {}
    for text in re.split(r"^##+ ", chapter, flags=re.MULTILINE)[1:]:
        heading, _, body = text.partition("\n")
        path = re.fullmatch(r"`([^`]+)`", heading.strip())
        if path or heading.strip() == "Top level":
            found[path[1] if path else ""] = body
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_schema_is_documented_where_it_belongs(kind: str) -> None:
    told = sections(kind)
    for path, model in parts(KINDS[kind]):
        nearest = max((known for known in told if path.startswith(known)), key=len)
        missing = {
            name for name in fields(model) if f"`{name}`" not in told[nearest] and f"`{name}." not in told[nearest]
        }
        assert not missing, f"{path or 'top level'}: {sorted(missing)}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_is_documented_exists(kind: str) -> None:
    models = dict(parts(KINDS[kind]))
    known = {name for model in models.values() for name in fields(model)}
    values = {
        v for model in models.values() for field in model.model_fields.values() for v in literals(field.annotation)
    }
    for path, body in sections(kind).items():
        assert path in models, f"no {path} in {kind}"
        rows = re.findall(r"^\| (`[^|]*) \|", body, flags=re.MULTILINE)
        for name in re.findall(r"`([a-z_]+)[`.]", " ".join(rows)):
            assert name in fields(models[path]), f"{path or 'top level'} has no {name}"
        named = set(re.findall(r"`([a-z_]+)`", body))
        assert named <= known | values | WORDS, f"{path or 'top level'}: {sorted(named - known - values - WORDS)}"


def test_every_schema_is_named_in_its_chapter() -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    for model in KINDS.values():
        assert f"| `schema` | `{model.model_fields['schema_'].default}` |" in text
