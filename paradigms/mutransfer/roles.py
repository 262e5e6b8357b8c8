"""Searches LR multipliers of whole roles, one role after the other, on the proxy at its best LR. It is optional."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

import numpy as np

from lrladder.paradigms.lab import Lab, Request
from lrladder.paradigms.sweep.noise import Noise

FAMILY_ERROR = 0.05  # probability that any multiplier is accepted if none helps; the usual level of a test

RoleLrs = tuple[tuple[str, float], ...]


class RoleSearchSpec(Protocol):
    """Try `factor` and its inverse on each of `roles` in turn, in at most `max_trials` runs. Each seed is a run."""

    @property
    def roles(self) -> Sequence[str]: ...
    @property
    def factor(self) -> float: ...
    @property
    def max_trials(self) -> int: ...


@dataclass(frozen=True)
class RoleLrsFound:
    """The accepted multipliers by role, and remarks on the search, in words."""

    role_lrs: RoleLrs
    flags: tuple[str, ...]


def least_gain(noise: Noise, *, candidates: int, seeds: int) -> float:
    """Least gain, in nats, with which the best of `candidates` is accepted.

    It is the one-sided t quantile for a difference of two means over seeds, Bonferroni-corrected. It is infinite if the
    noise is unknown.
    """
    half = noise.half_width(2 / seeds, level=1 - 2 * FAMILY_ERROR / candidates)
    return math.inf if half is None else half


def with_scatter(noise: Noise, losses: Sequence[Sequence[float]]) -> Noise:
    """The noise pooled with the scatter of `losses`, in nats, with one row for each set of multipliers.

    Each seed is a column. The scatter is what is left of the losses without the means of the sets and those of the
    seeds. With one set or one seed nothing is left.
    """
    table = np.array(losses)
    dof = (table.shape[0] - 1) * (table.shape[1] - 1)
    if not dof:
        return noise
    left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    squares = float((left**2).sum()) + (noise.sd or 0.0) ** 2 * noise.dof
    return Noise(math.sqrt(squares / (noise.dof + dof)), noise.dof + dof)


def search_roles(lab: Lab, at: Sequence[Request], spec: RoleSearchSpec, noise: Noise, *, payer: str) -> RoleLrsFound:
    """Find multipliers that lower the mean loss of the requests `at`, one for each seed, by more than the noise.

    Each role is tried once, with both multipliers in one call. An accepted multiplier stays for the roles after it.
    The noise is `noise`, pooled with the scatter of all runs of the search so far; without either it is assumed. Roles
    that do not fit into the budget, which also pays for the start, are not tried.
    """
    affordable = spec.max_trials // len(at)
    roles = spec.roles[: max(0, affordable - 1) // 2]
    if not roles:
        return RoleLrsFound((), (f"no role tried: {spec.max_trials} runs do not pay for a start and one role",))
    (start,) = _losses(lab, at, [()], payer)
    if start is None:
        return RoleLrsFound((), ("no role tried: the run at the best LR did not finish",))
    measured, best, found = [start], fmean(start), RoleLrs()
    least: list[float] = []
    for role in roles:
        tried: list[RoleLrs] = [(*found, (role, factor)) for factor in (spec.factor, 1 / spec.factor)]
        losses = _losses(lab, at, tried, payer)
        measured += [row for row in losses if row is not None]
        least.append(least_gain(with_scatter(noise, measured).or_assumed, candidates=2 * len(roles), seeds=len(at)))
        loss, candidate = min((math.inf if row is None else fmean(row), tried[i]) for i, row in enumerate(losses))
        if best - loss > least[-1]:
            best, found = loss, candidate
    return RoleLrsFound(found, tuple(_flags(spec, roles, found, gain=fmean(start) - best, least=least)))


def _losses(lab: Lab, at: Sequence[Request], tried: Sequence[RoleLrs], payer: str) -> list[list[float] | None]:
    """Losses at the requests `at`, in nats, for each set of multipliers; None if a run did not finish."""
    requests = [request._replace(role_lrs=role_lrs) for role_lrs in tried for request in at]
    measured = [run[0].loss for run in lab.measure(requests, payer=payer)]
    groups = [measured[i : i + len(at)] for i in range(0, len(measured), len(at))]
    finished = [[loss for loss in group if loss is not None] for group in groups]
    return [group if len(group) == len(at) else None for group in finished]


def _flags(
    spec: RoleSearchSpec, roles: Sequence[str], found: RoleLrs, *, gain: float, least: Sequence[float]
) -> Iterable[str]:
    low, high = 1e3 * min(least), 1e3 * max(least)
    each = f"each had to gain {low:.1f}{f' to {high:.1f}' if high - low >= 0.1 else ''} millinats at the proxy"
    if found:
        multipliers = ", ".join(f"{role} x{factor:g}" for role, factor in found)
        yield f"LR multipliers {multipliers}: {1e3 * gain:.1f} millinats better; {each}"
    else:
        yield f"no LR multiplier of {', '.join(roles)} beats the noise: {each}"
    if len(roles) < len(spec.roles):
        yield f"the budget of the role search was too small to try {', '.join(spec.roles[len(roles) :])}"
