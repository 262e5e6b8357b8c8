"""Metrics of many runs as arrays. A key is the name of a metric, or a ratio `a~b` of two (`signs.Metric`)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.metrics import Metrics

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]


class Recorded(NamedTuple):
    """What runs recorded under keys, in the order of the runs and then of the keys."""

    run: Places  # in the sequence of runs
    key: Places  # in the sequence of keys
    number: Numbers


class _Alike(NamedTuple):
    """Runs that recorded the same metrics: their places in the sequence of runs, and their numbers by name."""

    runs: Places
    columns: Mapping[str, Numbers]


class Table(NamedTuple):
    """All metrics of a sequence of runs."""

    parts: Sequence[_Alike]
    n: int

    @classmethod
    def of(cls, runs: Sequence[Measurement]) -> Self:
        """Of these runs."""
        metrics = [Metrics.of(m.metrics) for m in runs]
        places: dict[tuple[str, ...], list[int]] = {}
        for place, here in enumerate(metrics):
            if here:
                places.setdefault(here.names, []).append(place)
        parts = []
        for names, alike in places.items():
            numbers = np.frombuffer(b"".join(metrics[place].packed() for place in alike))
            columns = np.ascontiguousarray(numbers.reshape(len(alike), len(names)).T)
            parts.append(_Alike(np.array(alike, np.intp), dict(zip(names, columns, strict=True))))
        return cls(parts, len(runs))

    def names(self, prefix: str) -> list[str]:
        """The names of metrics that begin with `prefix`, in the order in which they are met."""
        met = dict.fromkeys(chain.from_iterable(part.columns for part in self.parts))
        return [name for name in met if name.startswith(prefix)]

    def recorded(self, keys: Sequence[str]) -> Recorded:
        """What the runs recorded under `keys`. A run too short to judge spikes has no number for a key of spikes."""
        found = [_under(part, place, key) for part in self.parts for place, key in enumerate(keys)]
        if not found:
            return Recorded(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))
        run, key, number = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.lexsort((key, run))
        return Recorded(run[order], key[order], number[order])

    def by_run(self, keys: Sequence[str]) -> Iterator[dict[str, float]]:
        """What each run recorded under `keys`."""
        found = self.recorded(keys)
        names, numbers = [keys[place] for place in found.key.tolist()], found.number.tolist()
        ends = np.searchsorted(found.run, np.arange(self.n), side="right").tolist()
        for start, end in pairwise([0, *ends]):
            yield dict(zip(names[start:end], numbers[start:end], strict=True))


def _under(alike: _Alike, place: int, key: str) -> tuple[Places, Places, Numbers]:
    """The runs that recorded a key, its place among the keys, and the numbers."""
    columns, (judged, top, bottom) = alike.columns, _names_in(key)
    if top not in columns or (bottom and bottom not in columns):
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    known = np.ones(len(alike.runs), bool)
    number = columns[top]
    if judged in columns:
        known &= columns[judged] != 0
    if bottom:
        known &= columns[bottom] != 0
        with np.errstate(all="ignore"):
            number = number / columns[bottom]
    runs = alike.runs[known]
    return runs, np.full(len(runs), place, np.intp), number[known]


def _names_in(key: str) -> tuple[str, str, str]:
    """The metrics in a key: that which says whether spikes were judged, and the two of a ratio; empty where none is."""
    top, _, bottom = key.partition("~")
    return f"{key.partition('_')[0]}_spike_judged" if "_spike" in key else "", top, bottom
