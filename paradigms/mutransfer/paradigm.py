"""muTransfer: search one proxy in muP and carry its best LR over unchanged. arXiv 2203.03466."""

import math
from collections.abc import Sequence

from paradigms.base import Lab, ParametrizationName, Proposal, Rung
from paradigms.bracket import Cell, SearchSpec, search_brackets
from paradigms.errors import NoProposal
from paradigms.extrapolation import far_flags
from paradigms.fitting.curve import Curve


class MuTransfer:
    """The proxy's optimum at the searched horizon nearest, in ratio, to the target's.

    The model's parametrization applies the width rule to each role. No rule of depth, decay, batch or horizon is
    applied to the LR here.
    """

    name: str = "mutransfer"
    parametrization: ParametrizationName = "mup"

    def __init__(self, spec: SearchSpec, proxy_name: str) -> None:
        self.spec = spec
        self.proxy_name = proxy_name
        self.curves: dict[Cell, Curve] = {}
        self._proxy: Rung | None = None

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> None:
        """Search the proxy at its horizons. Raises NoProposal if it is no proxy or has no interior minimum."""
        proxy = next((rung for rung in ladder if rung.name == self.proxy_name and rung.part == "proxy"), None)
        if proxy is None:
            raise NoProposal(f"mutransfer: {self.proxy_name!r} is not a proxy of this ladder")
        self.curves = search_brackets(
            lab, {proxy.name: proxy.horizons}, self.spec, payer=self.name, parametrization=self.parametrization
        )
        if all(curve.lr_best is None for curve in self.curves.values()):
            found = "; ".join(f"{horizon:,} tokens: {curve.status}" for (_, horizon), curve in self.curves.items())
            raise NoProposal(f"mutransfer: proxy {proxy.name} has no interior minimum ({found})")
        self._proxy = proxy

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The proxy's optimum and the interval of its curve. Raises NoProposal before a search."""
        if self._proxy is None:
            raise NoProposal("mutransfer: search has not been run")
        searched = min(self._interior, key=lambda tokens: abs(math.log(tokens / horizon)))
        curve = self._interior[searched]
        assert curve.lr_best is not None
        assert curve.lr_low is not None
        assert curve.lr_high is not None
        extrapolation = rung.flops_per_token * horizon / (self._proxy.flops_per_token * max(self._proxy.horizons))
        return Proposal(
            paradigm=self.name,
            parametrization=self.parametrization,
            rung=rung.name,
            horizon=horizon,
            lr=curve.lr_best,
            lr_low=curve.lr_low,
            lr_high=curve.lr_high,
            extrapolation=extrapolation,
            flags=(*self._flags(searched, horizon, extrapolation), *curve.flags),
        )

    @property
    def _interior(self) -> dict[int, Curve]:
        return {horizon: curve for (_, horizon), curve in self.curves.items() if curve.lr_best is not None}

    def _flags(self, searched: int, horizon: int, extrapolation: float) -> tuple[str, ...]:
        flags = ["interval holds the proxy curve only, not the drift of transfer"]
        if searched != horizon:
            flags.append(f"no horizon rule: searched at {searched:,} tokens, used at {horizon:,}")
        for (name, tokens), curve in self.curves.items():
            if curve.lr_best is None:
                flags.append(f"{name} at {tokens:,} tokens left out: {curve.status}")
        return (*flags, *far_flags(extrapolation))
