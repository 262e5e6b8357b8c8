"""muTransfer: search one proxy in muP and carry its best LR over unchanged. arXiv 2203.03466."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lrladder.paradigms.extrapolation import far_flags
from lrladder.paradigms.lab import Lab, ParametrizationName, Request, Rung
from lrladder.paradigms.mutransfer.drift import DRIFT_OCTAVES, drift_half_width, widen
from lrladder.paradigms.mutransfer.horizon import UNKNOWN_EXPONENT, Exponent, fit_exponent
from lrladder.paradigms.mutransfer.horizon_rule import HorizonRule, searched_horizons
from lrladder.paradigms.mutransfer.roles import RoleLrs, RoleSearchSpec, search_roles
from lrladder.paradigms.paradigm import NoProposal, Proposal
from lrladder.paradigms.sweep.bracket import Cell, search_brackets
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.grid import SearchSpec
from lrladder.paradigms.sweep.noise import pooled_noise


class _Answer(NamedTuple):
    """An LR, its interval before any drift, and the ratio of horizons over which it may drift."""

    lr: float
    low: float
    high: float
    tokens: float
    flags: tuple[str, ...]


class MuTransfer:
    """The proxy's best LR, which the study's rules turn into that of each role, size, batch and horizon.

    `horizon_rule` names the rule of those for the horizon. With `sde` and `power` the LR is that of the base, the
    proxy's longest horizon; with `none` that of the searched horizon nearest, in ratio, to the target's; with `fitted`
    an exponent is fitted to the optima of all horizons, and where they do not identify it the answer is that of `none`.
    A schedule that itself answers for the horizon is as `power`, and `proposes` under a parametrization of its own.
    The interval is 90%: of the proxy's curves, `drift_octaves` per doubling of what the rules carry over, and, where
    none carries the horizon, published exponents of it.
    """

    parametrization: ParametrizationName = "mup"

    def __init__(
        self,
        spec: SearchSpec,
        proxy_name: str,
        *,
        horizon_rule: HorizonRule = "none",
        drift_octaves: float = DRIFT_OCTAVES,
        role_search: RoleSearchSpec | None = None,
        search_exponent: float | None = None,
        name: str = "mutransfer",
        proposes: ParametrizationName = "mup",
    ) -> None:
        self.name = name
        self.proposes = proposes
        self.spec = spec
        self.proxy_name = proxy_name
        self.horizon_rule = horizon_rule
        self.drift_octaves = drift_octaves
        self.role_search = role_search
        self._search_exponent = 0.0 if horizon_rule == "fitted" else search_exponent
        self.curves: dict[Cell, Curve] = {}
        self.exponent: Exponent | None = None
        self.role_lrs: RoleLrs = ()
        self._role_flags: tuple[str, ...] = ()
        self._proxy: Rung | None = None

    @property
    def horizon_exponent(self) -> float | None:
        """What a request must carry: 0, under the fitted rule, while the exponent is not known."""
        if self.horizon_rule != "fitted":
            return None
        return 0.0 if self.exponent is None else self.exponent.b

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> None:
        """Search the proxy: its LR, then multipliers of roles where the study asks for them.

        Raises NoProposal if it is no proxy or has no interior minimum.
        """
        proxy = next((rung for rung in ladder if rung.name == self.proxy_name and rung.part == "proxy"), None)
        if proxy is None:
            raise NoProposal(f"{self.name}: {self.proxy_name!r} is not a proxy of this ladder")
        curves = search_brackets(
            lab,
            {proxy.name: searched_horizons(self.horizon_rule, proxy.horizons)},
            self.spec,
            payer=self.name,
            parametrization=self.parametrization,
            horizon_exponent=self._search_exponent,
        )
        self.learn(proxy, curves)
        if self.role_search is not None:
            self._search_roles(lab, self.role_search)

    def learn(self, proxy: Rung, curves: Mapping[Cell, Curve]) -> None:
        """Take the proxy's curves, new or stored. Raises NoProposal without an interior minimum."""
        self.curves = dict(curves)
        if not self._interior:
            found = "; ".join(f"{horizon:,} tokens: {curve.status}" for (_, horizon), curve in curves.items())
            raise NoProposal(f"{self.name}: proxy {proxy.name} has no interior minimum ({found})")
        self._proxy = proxy
        if self.horizon_rule == "fitted":
            self.exponent = fit_exponent(self._interior, max(proxy.horizons))

    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The proxy's LR and its interval. Raises NoProposal before a search."""
        if self._proxy is None:
            raise NoProposal(f"{self.name}: search has not been run")
        answer = self._carry(self._proxy, horizon)
        drift = drift_half_width(self.drift_octaves, self._proxy, rung, tokens=answer.tokens)
        low, high = widen(answer.lr, answer.low, answer.high, drift)
        extrapolation = rung.flops_per_token * horizon / (self._proxy.flops_per_token * max(self._proxy.horizons))
        drift_flag = f"interval assumes a drift of {self.drift_octaves:g} octaves per doubling (90%)"
        return Proposal(
            paradigm=self.name,
            parametrization=self.proposes,
            rung=rung.name,
            horizon=horizon,
            lr=answer.lr,
            lr_low=low,
            lr_high=high,
            extrapolation=extrapolation,
            flags=(drift_flag, *answer.flags, *self._left_out, *self._role_flags, *far_flags(extrapolation)),
            horizon_exponent=self.horizon_exponent,
            role_lrs=self.role_lrs,
        )

    def _carry(self, proxy: Rung, horizon: int) -> _Answer:
        base = max(proxy.horizons)
        if self.exponent is not None:
            lr, half = math.exp(self.exponent.ln_lr), self.exponent.half_width(horizon / base)
            return _Answer(lr, lr * math.exp(-half), lr * math.exp(half), 1.0, self.exponent.flags)
        searched = min(self._interior, key=lambda tokens: abs(math.log(tokens / horizon)))
        curve = self._interior[searched]
        assert curve.lr_best is not None
        assert curve.lr_low is not None
        assert curve.lr_high is not None
        if self.horizon_rule in ("sde", "power"):
            return _Answer(curve.lr_best, curve.lr_low, curve.lr_high, horizon / searched, curve.flags)
        unknown = UNKNOWN_EXPONENT * abs(math.log(horizon / searched))
        low, high = widen(curve.lr_best, curve.lr_low, curve.lr_high, unknown)
        return _Answer(curve.lr_best, low, high, 1.0, (*self._unruled(searched, horizon), *curve.flags))

    def _unruled(self, searched: int, horizon: int) -> tuple[str, ...]:
        fitted = self.horizon_rule == "fitted"
        why = "horizon exponent not identified by the proxy, 0 used" if fitted else "no horizon rule"
        if fitted or searched != horizon:
            return (f"{why}: searched at {searched:,} tokens, used at {horizon:,}",)
        return ()

    def _search_roles(self, lab: Lab, spec: RoleSearchSpec) -> None:
        assert self._proxy is not None
        base = max(self._interior)
        lr = self._interior[base].lr_best
        assert lr is not None
        at = [
            Request(
                self._proxy.name,
                self.parametrization,
                lr,
                seed,
                (base,),
                self.horizon_exponent or self._search_exponent,
            )
            for seed in self.spec.seeds
        ]
        found = search_roles(lab, at, spec, pooled_noise(self.curves.values()).or_assumed, payer=self.name)
        self.role_lrs, self._role_flags = found.role_lrs, found.flags

    @property
    def _interior(self) -> dict[int, Curve]:
        return {horizon: curve for (_, horizon), curve in self.curves.items() if curve.lr_best is not None}

    @property
    def _left_out(self) -> tuple[str, ...]:
        cells = self.curves.items()
        return tuple(f"{name} at {h:,} tokens left out: {c.status}" for (name, h), c in cells if c.lr_best is None)
