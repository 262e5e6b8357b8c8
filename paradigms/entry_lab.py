"""A lab as one entry of a study sees it: with its payer, parametrization, budget and limits."""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from lrladder.paradigms.lab import Lab, Measurement, ParametrizationName, Request, Rung, largest_aim
from lrladder.paradigms.paradigm import NoProposal

ROUNDING = 1e-6  # of a budget: costs that a search and a lab add up in another order may differ by this much


class Refused(NoProposal):
    """A request that the entry may not make. It ends the entry, with this reason, and not the study."""


class Limits(NamedTuple):
    """What an entry may ask for."""

    budget: float | None = None  # runs of the largest target or goal at its longest horizon; None: no limit
    searches_targets: bool = False  # whether it may ask for runs at targets
    scored_seeds: Collection[int] = ()  # seeds that it may not use at targets, because they are used for scoring


NO_LIMITS = Limits()


class EntryLab:
    """A `paradigms.lab.Lab` for one entry.

    All runs are of `parametrization` and are charged to `payer`, whatever a request says.
    """

    def __init__(
        self,
        lab: Lab,
        ladder: Sequence[Rung],
        *,
        payer: str,
        parametrization: ParametrizationName,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self.payer, self.parametrization, self.limits = payer, parametrization, limits
        self.searched_flops = 0.0  # of the largest run so far, to its longest horizon
        self._lab = lab
        self._rungs = {rung.name: rung for rung in ladder}
        self._asked: set[Request] = set()
        aim = largest_aim(ladder)
        run = aim.flops_per_token * max(aim.horizons) if aim else 0
        self.budget_flops = math.inf if limits.budget is None else limits.budget * run

    def measure(self, requests: Sequence[Request], *, payer: str = "") -> list[list[Measurement]]:
        """For each request, in order, one measurement per horizon. Raises Refused."""
        own = [self._own(request) for request in requests]
        for request in own:
            self._check(request)
        if not self.affords(requests):
            raise Refused(
                f"its budget of {self.limits.budget:g} target runs is spent: it has used {self.spent:.3g} of "
                f"{self.budget_flops:.3g} FLOPs and asks for {self._price(own):.3g} more"
            )
        self._asked.update(own)
        for request in own:
            flops = self._rungs[request.rung].flops_per_token * max(request.horizons)
            self.searched_flops = max(self.searched_flops, float(flops))
        return self._lab.measure(own, payer=self.payer)

    def losses(self, rung: Rung, lrs: Sequence[float], horizon: int, *, seed: int = 0) -> list[float | None]:
        """The loss (nats) of one run at each LR; None for a run that diverged or failed. Raises Refused."""
        requests = [Request(rung.name, self.parametrization, lr, seed, (horizon,)) for lr in lrs]
        return [run[0].loss for run in self.measure(requests)]

    def affords(self, requests: Sequence[Request]) -> bool:
        """Whether the budget pays for these runs. Runs that were asked for before cost nothing."""
        price = self._price([self._own(request) for request in requests])
        return self.spent + price <= self.budget_flops * (1 + ROUNDING)

    @property
    def spent(self) -> float:
        """FLOPs charged to the entry so far."""
        return self._lab.cost_flops(self.payer)

    def cost_flops(self, payer: str = "") -> float:
        """As `spent`."""
        return self.spent

    def flops(self, request: Request) -> float:
        """Planned FLOPs of a run."""
        return self._lab.flops(self._own(request))

    def lrs(self, rung: str) -> tuple[float, ...] | None:
        """The LRs that a rung can be run at, as in a replay; None if any LR can be run."""
        fixed = getattr(self._lab, "lrs", None)
        return None if fixed is None else fixed(rung)

    def _own(self, request: Request) -> Request:
        horizons = tuple(sorted(request.horizons))
        return request._replace(parametrization=self.parametrization, horizons=horizons)

    def _price(self, own: Sequence[Request]) -> float:
        return math.fsum(self._lab.flops(request) for request in set(own) - self._asked)

    def _check(self, request: Request) -> None:
        rung = self._rungs.get(request.rung)
        if rung is None:
            raise Refused(
                f"asked for a run at {request.rung}, which is not a rung; the rungs are {', '.join(self._rungs)}"
            )
        if rung.part == "goal":
            raise Refused(f"asked for a run at the goal {rung.name}, which is never trained")
        if rung.part == "proxy":
            return
        if not self.limits.searches_targets:
            raise Refused(
                f"asked for a run at the target {rung.name}; only a class with searches_targets = True may do that"
            )
        if request.seed in self.limits.scored_seeds:
            raise Refused(
                f"asked for a run with seed {request.seed} at the target {rung.name}; it is kept for scoring there"
            )
