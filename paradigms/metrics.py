"""The metrics of a reading, in little memory: a study may have 100,000 readings with the same 60 names."""

from array import array
from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from functools import lru_cache
from typing import Any, Self

NAMES = 1024  # most tuples of names that are shared at a time; assumption: a study has one for each depth


class Metrics(Mapping[str, float]):
    """Numbers by name, in their order. Readings with the same names share them, so each has only its numbers."""

    __slots__ = ("_numbers", "_places")

    def __init__(self, numbers: Mapping[str, float]) -> None:
        self._places = _places(tuple(numbers))
        self._numbers = array("d", list(numbers.values()))  # a list is taken in at once, a view one by one

    @classmethod
    def validated(cls, value: Any, check: Callable[[Any], Mapping[str, float]]) -> Self:
        """For pydantic: what it has checked, in this form."""
        return value if isinstance(value, cls) else cls(check(value))

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> Self:
        """Numbers by name in this form, which most have already."""
        return numbers if isinstance(numbers, cls) else cls(numbers)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in their order."""
        return tuple(self._places)

    def packed(self) -> bytes:
        """The numbers in the order of the names, 8 bytes each."""
        return self._numbers.tobytes()

    def __getitem__(self, name: str) -> float:
        return self._numbers[self._places[name]]

    def get(self, name: str, default: Any = None) -> Any:
        place = self._places.get(name)
        return default if place is None else self._numbers[place]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def values(self) -> ValuesView[float]:
        return _Values(self)

    def items(self) -> ItemsView[str, float]:
        return _Items(self)

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"Metrics({dict(self)!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, float]]]:
        return type(self), (dict(self),)


class _Values(ValuesView[float]):
    """The numbers, without a look at each name."""

    _mapping: Metrics

    def __iter__(self) -> Iterator[float]:
        return iter(self._mapping._numbers)


class _Items(ItemsView[str, float]):
    """Names and numbers, without a look at each name."""

    _mapping: Metrics

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return zip(self._mapping, self._mapping._numbers, strict=True)


@lru_cache(NAMES)
def _places(names: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}
