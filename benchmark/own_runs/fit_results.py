"""The results of `lrladder fit`, schema lrladder.fit/1. docs/fitting.md documents them."""

import math
from collections import Counter
from typing import Literal

from pydantic import Field

from lrladder.benchmark.documents import Document, Frozen
from lrladder.benchmark.own_runs.cells import Protocol
from lrladder.benchmark.own_runs.settings import SettingResult
from lrladder.paradigms.published import FLOPS_PER_PARAMETER
from lrladder.paradigms.sweep.status import Status

SCHEMA = "lrladder.fit/1"


BatchProtocol = Literal["free", "given"]


class Range(Frozen):
    """A value with its 90% interval. The ends are None if the runs do not determine the value."""

    value: float
    low: float | None
    high: float | None


class FittedLaw(Frozen):
    """lr* = k N^-u D^-v B^w A^s. `exponents` has -u, -v, w, s as n, tokens, batch_tokens, sparsity.

    With batch "free", each cell has the one batch that the protocol chose, and the law has no B. With "given", the law
    has B and is fitted to the sweeps of all batches. With size "flops", C = N_active D takes the place of N and D.
    """

    name: str
    size: Literal["active", "total", "flops"]
    batch: BatchProtocol
    k: float
    exponents: dict[str, Range]
    n_points: int
    left_out: tuple[float, ...]  # RMS error in ln lr* at each of the largest sizes, of the law fitted without it
    flags: tuple[str, ...]


class FitCell(Frozen):
    """One sweep. Best LR, interval and loss are None unless the sweep brackets its minimum."""

    family: str
    n_params: float
    n_active: float
    tokens: float
    batch_tokens: float | None
    chosen: bool  # by the batch protocol
    status: Status
    edge: str | None
    n: int
    n_diverged: int
    lr_best: float | None
    lr_low: float | None
    lr_high: float | None
    sd_ln_lr: float | None
    lr_law: float | None = None  # the LR by the exponents of the first law, for its batch; None unless chosen
    loss: float | None
    curvature: float | None
    lrs: tuple[float, ...]
    losses: tuple[float | None, ...]
    flags: tuple[str, ...]

    @property
    def octaves_off(self) -> float | None:
        """log2 of the cell's own best LR divided by that of the law."""
        return None if self.lr_best is None or self.lr_law is None else math.log2(self.lr_best / self.lr_law)

    @property
    def flops(self) -> float:
        """6 N D, N active."""
        return FLOPS_PER_PARAMETER * self.n_active * self.tokens


class LossResult(Frozen):
    """The law of the loss at the best LR; N is the number of active parameters.

    Of three forms, the one with the smallest error at the largest cells is used; these are left out for that test.
    additive: floor + a N^-alpha + b D^-beta. power: floor + (a N^-alpha + b D^-beta)^gamma. product: floor + a N^-alpha
    D^-beta. `scatter` is the sd of log loss about the law. `miss` and `missed` (by form) are the rms errors at the
    left-out cells.
    """

    form: Literal["additive", "power", "product"] = "additive"  # older folders have no other
    floor: float
    alpha: float
    beta: float
    gamma: float = 1.0
    scatter: float
    miss: float
    missed: dict[str, float] = Field(default_factory=dict)
    n_points: int
    flags: tuple[str, ...]


class BatchResult(Frozen):
    """B* = k D^w in tokens."""

    k: float
    w: Range
    n_points: int
    flags: tuple[str, ...]


class HorizonResult(Frozen):
    """How well short horizons predict the longest one, by the law of the loss against tokens."""

    n: int  # LRs whose longest horizon was predicted from the others
    n_usable: int
    median_miss: float | None  # of the usable ones, in the unit of the losses
    worst_miss: float | None
    covered: float | None  # share whose 90% interval holds the measurement


class FitResults(Document):
    """The whole of results.json of a fit."""

    schema_: str = SCHEMA
    source: str
    digest: str  # of the file
    protocol: Protocol
    n_runs: int
    cells: tuple[FitCell, ...]
    laws: tuple[FittedLaw, ...]
    loss_law: LossResult | None
    batch_law: BatchResult | None
    horizons: HorizonResult
    budget: float | None = (
        None  # if only the runs that a search within so many runs of the largest cell asks for are used
    )
    settings: tuple[SettingResult, ...] = ()  # settings that vary within cells; the laws use the best one of each cell
    flags: tuple[str, ...]
    environment: dict[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Number of chosen sweeps by status."""
        return dict(Counter(cell.status for cell in self.cells if cell.chosen))

    def summary(self) -> dict[str, object]:
        """What `fit --json` prints, as docs/fitting.md describes it."""
        return {
            "laws": [law.model_dump(mode="json") for law in self.laws],
            "loss_law": self.loss_law and self.loss_law.model_dump(mode="json"),
            "batch_law": self.batch_law and self.batch_law.model_dump(mode="json"),
            "settings": [found.model_dump(mode="json") for found in self.settings],
            "cells": self.counts,
            "flags": list(self.flags),
        }
