"""muTransfer (arXiv 2203.03466): search the LR of one proxy under muP, and propose it for all larger models."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lrladder.paradigms.extrapolation import far_flags
from lrladder.paradigms.lab import Lab, Request, Rung
from lrladder.paradigms.mutransfer.carry import CARRIES, Carry
from lrladder.paradigms.mutransfer.drift import drift_half_width, widen
from lrladder.paradigms.mutransfer.horizon_rule import searched_horizons
from lrladder.paradigms.mutransfer.roles import RoleLrsFound, RoleSearchSpec, search_roles
from lrladder.paradigms.paradigm import NOT_SEARCHED, NoProposal, Paradigm, Proposal, Terms, require_proxy
from lrladder.paradigms.settings import MuTransferSettings
from lrladder.paradigms.sweep.bracket import Cell, search_brackets
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.noise import pooled_noise

TRANSFERRED = "mup"  # asked for in every request; an EntryLab replaces it by the parametrization of the entry


class _Learned(NamedTuple):
    """What the search found: the proxy, and its best LRs with the way to carry them to other horizons."""

    proxy: Rung
    carry: Carry


class MuTransfer(Paradigm):
    """Proposes the best LR of the proxy, from which the study's rules compute the LR of each role, size and horizon.

    The horizon rule of the study decides which horizons are searched, and how the LR is carried to another horizon
    (carry.py). The 90% interval adds up that of the proxy's curve, a drift of `drift_octaves` per doubling of the
    quantities that rules carry over, and, if no rule carries the horizon, the published exponents of tokens. With
    `role_search`, multipliers of the LRs of whole roles are searched too, on the proxy at its best LR.
    """

    def __init__(self, settings: MuTransferSettings, terms: Terms) -> None:
        super().__init__(settings, terms)
        self.name = terms.name
        self.curves: dict[Cell, Curve] = {}
        self.roles = RoleLrsFound((), ())
        self._learned: _Learned | None = None

    @property
    def proxy(self) -> str:
        """The name of the rung that is searched."""
        return self.settings.proxy or self.terms.base

    @property
    def horizon_exponent(self) -> float | None:
        """The horizon exponent of the runs that use the proposals."""
        if self._learned is not None:
            return self._learned.carry.horizon_exponent
        return 0.0 if self.terms.horizon_rule == "fitted" else None

    def searched_horizons(self, proxy: Rung) -> tuple[int, ...]:
        """The horizons of the proxy that the search runs."""
        return searched_horizons(self.terms.horizon_rule, proxy.horizons)

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> None:
        """Search the LR of the proxy. Raises NoProposal if the rung is not a proxy or no minimum is bracketed."""
        proxy = require_proxy(ladder, self.proxy, by=self.name)
        curves = search_brackets(
            lab,
            {proxy.name: self.searched_horizons(proxy)},
            self.settings,
            payer=self.name,
            parametrization=TRANSFERRED,
        )
        self.learn(ladder, curves)
        if self.settings.role_search is not None:
            self._search_roles(lab, self.settings.role_search)

    def learn(self, ladder: Sequence[Rung], curves: Mapping[Cell, Curve]) -> None:
        """Learn from curves of the proxy, new or stored. Raises NoProposal if no minimum is bracketed."""
        proxy = require_proxy(ladder, self.proxy, by=self.name)
        own = [(proxy.name, horizon) for horizon in self.searched_horizons(proxy)]
        self.curves = {cell: curves[cell] for cell in own if cell in curves}
        if not self._interior:
            found = "; ".join(f"{horizon:,} tokens: {curve.status}" for (_, horizon), curve in self.curves.items())
            raise NoProposal(f"{self.name}: proxy {proxy.name} has no bracketed minimum ({found or 'no runs'})")
        base = next((rung for rung in ladder if rung.name == self.terms.base), proxy)
        self._learned = _Learned(proxy, CARRIES[self.terms.horizon_rule](self._interior, max(base.horizons)))

    def _search_roles(self, lab: Lab, spec: RoleSearchSpec) -> None:
        base = max(self._interior)
        lr = self._interior[base].lr_best
        assert lr is not None
        seeds, exponent = self.settings.seeds, self.horizon_exponent
        at = [Request(self.proxy, TRANSFERRED, lr, seed, (base,), exponent) for seed in seeds]
        noise = pooled_noise(self.curves.values())
        self.roles = search_roles(lab, at, spec, noise, payer=self.name)

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The LR of the proxy with its interval. Raises NoProposal before a search."""
        if self._learned is None:
            raise NoProposal(f"{self.name}: {NOT_SEARCHED}")
        proxy, carry = self._learned
        answer, octaves = carry.answer(horizon), self.settings.drift_octaves
        drift = drift_half_width(octaves, proxy, rung, tokens=answer.tokens)
        low, high = widen(answer.lr, answer.low, answer.high, drift)
        extrapolation = rung.flops_per_token * horizon / (proxy.flops_per_token * max(proxy.horizons))
        drift_flag = f"the interval assumes that the best LR drifts by at most {octaves:g} octaves per doubling (90%)"
        return Proposal(
            rung=rung.name,
            horizon=horizon,
            lr=answer.lr,
            lr_low=low,
            lr_high=high,
            extrapolation=extrapolation,
            flags=(drift_flag, *answer.flags, *self._left_out, *self.roles.flags, *far_flags(extrapolation)),
            horizon_exponent=self.horizon_exponent,
            role_lrs=self.roles.role_lrs,
        )

    @property
    def _interior(self) -> dict[int, Curve]:
        return {horizon: curve for (_, horizon), curve in self.curves.items() if curve.lr_best is not None}

    @property
    def _left_out(self) -> tuple[str, ...]:
        cells = self.curves.items()
        return tuple(f"{name} at {h:,} tokens left out: {c.status}" for (name, h), c in cells if c.lr_best is None)
