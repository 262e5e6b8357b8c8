"""A published law used as a ratio: it carries the best LR of the study's own proxy to the target."""

import math
from collections.abc import Mapping, Sequence

from lrladder.paradigms.extrapolation import far_flags
from lrladder.paradigms.lab import Lab, Rung
from lrladder.paradigms.paradigm import NOT_SEARCHED, NoProposal, Paradigm, Proposal, Terms, require_proxy
from lrladder.paradigms.published import law_named
from lrladder.paradigms.settings import PublishedSettings
from lrladder.paradigms.strategies.baselines import NO_INTERVAL
from lrladder.paradigms.sweep.bracket import Cell, search_brackets
from lrladder.paradigms.sweep.curve import Curve


class PublishedRatio(Paradigm):
    """The proxy's best LR at its longest horizon, times the law at the target divided by the law at the proxy."""

    def __init__(self, settings: PublishedSettings, terms: Terms) -> None:
        super().__init__(settings, terms)
        self._law = law_named(settings.law)
        self._proxy: Rung | None = None
        self.curves: dict[Cell, Curve] = {}

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> None:
        """Search the LR of the proxy. Raises NoProposal if the rung is not a proxy or no minimum is bracketed."""
        proxy = self._proxy_of(ladder)
        cells = {proxy.name: (max(proxy.horizons),)}
        self.learn(ladder, search_brackets(lab, cells, self.settings, payer="", parametrization="sp"))

    def _proxy_of(self, ladder: Sequence[Rung]) -> Rung:
        return require_proxy(ladder, self.settings.proxy or self.terms.base, by=self.terms.name)

    def learn(self, ladder: Sequence[Rung], curves: Mapping[Cell, Curve]) -> None:
        """Learn from the curve of the proxy, new or stored. Raises NoProposal if its minimum is not bracketed."""
        proxy = self._proxy_of(ladder)
        self.curves = dict(curves)
        if self._best(proxy) is None:
            raise NoProposal(f"{self.terms.name}: proxy {proxy.name} has no bracketed minimum")
        self._proxy = proxy

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The best LR of the proxy, scaled by the law. Raises NoProposal before a search."""
        if self._proxy is None:
            raise NoProposal(f"{self.terms.name}: {NOT_SEARCHED}")
        proxy, law = self._proxy, self._law
        tokens, lr = max(proxy.horizons), self._best(proxy)
        assert lr is not None
        step = law.ln_lr(rung.n_active, rung.n_total, horizon) - law.ln_lr(proxy.n_active, proxy.n_total, tokens)
        extrapolation = rung.flops_per_token * horizon / (proxy.flops_per_token * tokens)
        taken = (f"{law.needs} is assumed to be the same at both",) if law.needs else ()
        return Proposal(
            rung=rung.name,
            horizon=horizon,
            lr=lr * math.exp(step),
            extrapolation=extrapolation,
            flags=(f"{law.source}: {law.convention}", NO_INTERVAL, *taken, *far_flags(extrapolation)),
        )

    def _best(self, proxy: Rung) -> float | None:
        curve = self.curves.get((proxy.name, max(proxy.horizons)))
        return None if curve is None else curve.lr_best
