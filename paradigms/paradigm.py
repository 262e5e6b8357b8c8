"""Faults of a paradigm's search."""

from collections.abc import Sequence
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict

from lrladder.paradigms.lab import Lab, ParametrizationName, Rung


class NoProposal(ValueError):
    """The search gave nothing to propose from. The message says which cells failed and why."""


class Proposal(BaseModel):
    """A paradigm's answer for one rung and horizon. The interval is 90%; `flags` says in words what weakens it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paradigm: str
    parametrization: ParametrizationName
    rung: str
    horizon: int
    lr: float
    lr_low: float
    lr_high: float
    extrapolation: float  # target FLOPs / largest searched FLOPs
    flags: tuple[str, ...] = ()
    horizon_exponent: float | None = None  # as in Request
    role_lrs: tuple[tuple[str, float], ...] = ()  # as in Request
    lr_proposed: float | None = None  # before `lr`, which is trained, was put on a lattice; None where it was not

    def continued_to(self, horizon: int) -> Self:
        """Of the same run at a later horizon, for which its LR was not chosen."""
        changes = {
            "horizon": horizon,
            "extrapolation": self.extrapolation * horizon / self.horizon,
            "flags": (f"continued: its LR was chosen for {self.horizon:,} tokens", *self.flags),
        }
        return self.model_copy(update=changes)


class Paradigm(Protocol):
    """`search` asks a lab for runs on proxy rungs only; `propose` then answers without any further run."""

    name: str

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> None: ...
    def propose(self, rung: Rung, horizon: int) -> Proposal: ...
