"""Fitting with the full grid: find the best LR of every proxy cell, fit a law to these, and extrapolate the law.

The method is that of arXiv 2601.05049.
"""

import math
from collections.abc import Mapping, Sequence

from lrladder.paradigms.extrapolation import far_flags
from lrladder.paradigms.lab import Lab, ParametrizationName, Rung
from lrladder.paradigms.laws.law import Law, LawPoint, fit_law
from lrladder.paradigms.paradigm import NO_MINIMUM, NOT_SEARCHED, NoProposal, Paradigm, Proposal, Terms
from lrladder.paradigms.settings import Confirm
from lrladder.paradigms.sweep.bracket import Cell, search_brackets
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.grid import SearchSpec

STANDARD: ParametrizationName = "sp"  # asked for in every request; an EntryLab replaces it by that of the entry


class Fitting(Paradigm):
    """A law fitted to the best LRs of all proxy cells whose sweep brackets the minimum.

    `curves` and `law` are kept for reports.
    """

    def __init__(self, settings: SearchSpec, terms: Terms, *, confirm: Confirm = "always") -> None:
        super().__init__(settings, terms)
        self._confirm = confirm
        self.name = terms.name
        self.curves: dict[Cell, Curve] = {}
        self.law: Law | None = None
        self._flags: tuple[str, ...] = ()
        self._searched_flops = 0.0
        self._batches: set[int] = set()

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> None:
        """Search all proxies at all their horizons. Raises NoProposal if no cell has a bracketed minimum."""
        proxies = [rung for rung in ladder if rung.part == "proxy"]
        curves = search_brackets(
            lab,
            {rung.name: rung.horizons for rung in proxies},
            self.settings,
            payer=self.name,
            parametrization=STANDARD,
            confirm=self._confirm,
        )
        self.learn(proxies, curves)

    def learn(self, ladder: Sequence[Rung], curves: Mapping[Cell, Curve]) -> None:
        """Fit the law to curves of the proxies, new or stored. Raises NoProposal if no minimum is bracketed."""
        self.curves = dict(curves)
        proxies = {rung.name: rung for rung in ladder if rung.part == "proxy"}
        points = [
            LawPoint(proxies[name].n_active, horizon, math.log(curve.lr_best), curve.sd_ln_lr)
            for (name, horizon), curve in self.curves.items()
            if curve.lr_best is not None and curve.sd_ln_lr is not None
        ]
        left_out = [f"{name} at {h:,} tokens: {c.status}" for (name, h), c in self.curves.items() if c.lr_best is None]
        if not points:
            raise NoProposal(f"{self.name}: {NO_MINIMUM} ({'; '.join(left_out) or 'no proxies'})")
        self.law = fit_law(points)
        cut = sum(1 for curve in self.curves.values() if curve.flags)
        self._flags = (
            *self.law.flags,
            *(f"left out of the law: {cell}" for cell in left_out),
            *([f"{cut} curves are weak: see their flags"] if cut else []),
        )
        self._batches = {rung.batch_tokens for rung in proxies.values()}
        self._searched_flops = max(proxies[name].flops_per_token * horizon for name, horizon in self.curves)

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The law's LR and prediction interval. Raises NoProposal before a search."""
        if self.law is None:
            raise NoProposal(f"{self.name}: {NOT_SEARCHED}")
        extrapolation = rung.flops_per_token * horizon / self._searched_flops
        lr, low, high = self.law.predict(rung.n_active, horizon)
        flags = self._flags + far_flags(extrapolation)
        if rung.batch_tokens not in self._batches:
            flags += (f"no run searched the target's batch of {rung.batch_tokens:,} tokens",)
        return Proposal(
            rung=rung.name,
            horizon=horizon,
            lr=lr,
            lr_low=low,
            lr_high=high,
            extrapolation=extrapolation,
            flags=flags,
        )
