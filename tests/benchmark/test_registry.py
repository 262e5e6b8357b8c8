"""Registries whose entries are imported when they are first asked for."""

import sys

import pytest

from lrladder.benchmark.registry import Registry


def test_an_entry_is_found_once_and_only_when_it_is_asked_for() -> None:
    asked: list[str] = []

    def find(place: str) -> str:
        asked.append(place)
        return place.upper()

    registry = Registry({"b": "x", "a": "y"}, find)
    assert (list(registry), len(registry), "a" in registry, "c" in registry) == (["b", "a"], 2, True, False)
    assert asked == []
    assert (registry["a"], registry["a"], asked) == ("Y", "Y", ["y"])
    assert next(iter(registry.values())) == "X"  # a search from the start ends before it finds the others
    with pytest.raises(KeyError):
        registry["c"]


def test_entries_can_be_added_and_taken_away() -> None:
    registry = Registry({"python": "sys:version_info"})
    registry["mine"] = sys.version_info
    assert dict(registry) == {"python": sys.version_info, "mine": sys.version_info}
    del registry["mine"]
    assert list(registry) == ["python"]
