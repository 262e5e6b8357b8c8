"""docs/config.md: every key of every config, as the models define them."""

import re

import pytest
from pydantic import BaseModel

from lrladder.benchmark.config.keys import anchor, own_keys
from lrladder.benchmark.studies.kinds import KINDS
from lrladder.benchmark.studies.reference import COMMAND, page, sections, tables
from lrladder.paradigms.registry import SHIPPED
from tests.paths import ROOT

PAGE = page()
ALL = tables()


def test_the_page_is_that_of_the_code() -> None:
    written = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert written == PAGE, f"docs/config.md is not what the code says; write it again: {COMMAND}"


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_every_key_has_a_sentence(model: type[BaseModel]) -> None:
    missing = [
        key.name
        for key in own_keys(model)
        if key.name not in ("kind", "settings") and not key.description.endswith(".")
    ]
    assert not missing, (
        f"{model.__name__}: write a sentence below these keys in the source, then run {COMMAND}: {missing}"
    )


def test_no_section_and_no_key_stands_twice() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, flags=re.MULTILINE)
    assert len(set(headings)) == len(headings)
    for section in PAGE.split("\n## ")[1:]:
        keys = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
        assert len(set(keys)) == len(keys), section.splitlines()[0]


def test_every_link_leads_to_a_heading_or_a_file() -> None:
    headings = {
        re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^## (.*)$", PAGE, flags=re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert links
    for link in links:
        assert link[1:] in headings if link[0] == "#" else (ROOT / "docs" / link).is_file(), link


def reached(model: type[BaseModel]) -> set[type[BaseModel]]:
    """All models below a config, by pydantic's own fields: an oracle for the walk of the page."""
    found: set[type[BaseModel]] = set()
    waiting: list[object] = [field.annotation for field in model.model_fields.values()]
    while waiting:
        part = waiting.pop()
        if isinstance(part, type) and issubclass(part, BaseModel) and part not in found:
            found.add(part)
            waiting += [field.annotation for field in part.model_fields.values()]
        waiting += getattr(part, "__args__", ())
    return found


def test_every_model_of_every_kind_has_a_section() -> None:
    told = set(sections())
    for kind in KINDS.values():
        missing = {model.__name__ for model in reached(kind.config_model) - told} - {"Settings"}
        assert not missing, f"{kind.name}: {missing}"
    assert {shipped.settings for shipped in SHIPPED.values()} <= told


def test_changes_name_keys_of_what_they_change() -> None:
    changing = [model for model in sections() if hasattr(model, "changes")]
    assert {anchor(model) for model in changing} == {"schedule-change", "training-change"}
    for model in changing:
        assert set(model.model_fields) <= set(model.changes.model_fields)
        assert all(field.default is None for field in model.model_fields.values())


def test_types_limits_and_defaults_are_words() -> None:
    for row in (
        "| `text` | list of texts | `[]` |",
        "| `seeds` | list of integers at least 0 and below 2^63 (at least 2) | `[0, 1, 2]` |",
        "| `read` | `decay` or `ema` | `decay` |",
        "| `budget` | number above 0 or null | `null` |",
        "| `base` | text | required |",
        "| `rungs` | list of [Rung config](#rung-config) (at least 1 and at most 256) | required |",
        "| `devices` | integer above 0 | `1` |",
    ):
        assert row in PAGE, row
