"""muTransfer: search one proxy in muP and carry its best LR over unchanged. arXiv 2203.03466."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lrladder.paradigms.extrapolation import far_flags
from lrladder.paradigms.lab import Lab, ParametrizationName, Rung
from lrladder.paradigms.mutransfer.carry import CARRIES, Carry
from lrladder.paradigms.mutransfer.drift import DRIFT_OCTAVES, drift_half_width, widen
from lrladder.paradigms.mutransfer.horizon_rule import HorizonRule, searched_horizons
from lrladder.paradigms.mutransfer.roles import RoleLrsFound
from lrladder.paradigms.paradigm import NoProposal, Proposal
from lrladder.paradigms.sweep.bracket import Cell, search_brackets
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.grid import SearchSpec


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """What a study says to muTransfer and its variants."""

    search: SearchSpec
    proxy: str  # the name of the rung that is searched
    horizon_rule: HorizonRule = "none"  # of the study's muP rules
    drift_octaves: float = DRIFT_OCTAVES  # of the best LR, per doubling of what the rules carry over; 90%


class _Learned(NamedTuple):
    proxy: Rung
    carry: Carry


class MuTransfer:
    """The proxy's best LR, which the study's rules turn into that of each role, size, batch and horizon.

    The horizon rule of the study decides what is searched and how it is carried to another horizon: see `carry`. The
    interval is 90%: of the proxy's curves, `drift_octaves` per doubling of what the rules carry over, and, where none
    carries the horizon, published exponents of it. A variant overrides what makes it one.
    """

    name: str = "mutransfer"
    parametrization: ParametrizationName = "mup"  # of the search
    proposes: ParametrizationName = "mup"  # of the proposals

    def __init__(self, settings: TransferSettings) -> None:
        self.settings = settings
        self.curves: dict[Cell, Curve] = {}
        self.roles = RoleLrsFound((), ())  # none: only a variant searches them
        self._learned: _Learned | None = None

    @property
    def horizon_rule(self) -> HorizonRule:
        """By which the proposals are carried to another horizon."""
        return self.settings.horizon_rule

    @property
    def search_exponent(self) -> float | None:
        """The horizon exponent of the search's requests: 0, under the fitted rule, as it is not known yet."""
        return 0.0 if self.settings.horizon_rule == "fitted" else None

    @property
    def horizon_exponent(self) -> float | None:
        """The horizon exponent of requests that use the proposals."""
        if self._learned is not None:
            return self._learned.carry.horizon_exponent
        return 0.0 if self.horizon_rule == "fitted" else None

    def searched_horizons(self, proxy: Rung) -> tuple[int, ...]:
        return searched_horizons(self.horizon_rule, proxy.horizons)

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> None:
        """Search the proxy's LR. Raises NoProposal if it is no proxy or has no interior minimum."""
        name = self.settings.proxy
        proxy = next((rung for rung in ladder if rung.name == name and rung.part == "proxy"), None)
        if proxy is None:
            raise NoProposal(f"{self.name}: {name!r} is not a proxy of this ladder")
        curves = search_brackets(
            lab,
            {proxy.name: self.searched_horizons(proxy)},
            self.settings.search,
            payer=self.name,
            parametrization=self.parametrization,
            horizon_exponent=self.search_exponent,
        )
        self.learn(proxy, curves)

    def learn(self, proxy: Rung, curves: Mapping[Cell, Curve]) -> None:
        """Take the proxy's curves, new or stored. Raises NoProposal without an interior minimum."""
        self.curves = dict(curves)
        if not self._interior:
            found = "; ".join(f"{horizon:,} tokens: {curve.status}" for (_, horizon), curve in curves.items())
            raise NoProposal(f"{self.name}: proxy {proxy.name} has no interior minimum ({found})")
        self._learned = _Learned(proxy, CARRIES[self.horizon_rule](self._interior, max(proxy.horizons)))

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The proxy's LR and its interval. Raises NoProposal before a search."""
        if self._learned is None:
            raise NoProposal(f"{self.name}: search has not been run")
        proxy, carry = self._learned
        answer, octaves = carry.answer(horizon), self.settings.drift_octaves
        drift = drift_half_width(octaves, proxy, rung, tokens=answer.tokens)
        low, high = widen(answer.lr, answer.low, answer.high, drift)
        extrapolation = rung.flops_per_token * horizon / (proxy.flops_per_token * max(proxy.horizons))
        drift_flag = f"interval assumes a drift of {octaves:g} octaves per doubling (90%)"
        return Proposal(
            paradigm=self.name,
            parametrization=self.proposes,
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
