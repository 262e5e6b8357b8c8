"""Baselines without a fitted law: copies, constants, published laws, and tuning at the target itself."""

import math
from collections.abc import Sequence

import numpy as np

from lrladder.paradigms.lab import Lab, Request, Rung
from lrladder.paradigms.paradigm import NO_MINIMUM, NOT_SEARCHED, NoProposal
from lrladder.paradigms.published import PublishedLaw
from lrladder.paradigms.strategies.book import Book, GridSpec, fixed_lrs
from lrladder.paradigms.strategies.search import GRID, Choice, full_grid
from lrladder.paradigms.sweep.bracket import Cell
from lrladder.paradigms.sweep.curve import Curve

NO_INTERVAL = "there is no interval, because this method gives none"


class NearestCell:
    """The best LR of the rung that is nearest to the aim in ln N and ln D, at its longest horizon.

    Rungs are swept from the nearest on, until one brackets its best LR.
    """

    name = "nearest_cell"

    def __init__(self, grid: GridSpec = GRID, *, aim: Rung) -> None:
        self.grid, self.aim = grid, aim
        self._found: tuple[Rung, float] | None = None

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Sweep rungs until one has its minimum between worse LRs. Raises NoProposal if none has."""
        for rung in sorted(rungs, key=lambda rung: _distance(rung, self.aim)):
            curves = full_grid(lab, [rung], self.grid, payer=self.name).curves()
            longest = curves.get((rung.name, max(rung.horizons)))
            if longest is not None and longest.lr_best is not None:
                self._found = rung, longest.lr_best
                return
        raise NoProposal(f"{self.name}: {NO_MINIMUM}")

    def propose(self, target: Rung) -> Choice:
        """The LR that was found, unchanged. Raises NoProposal before a search."""
        if self._found is None:
            raise NoProposal(f"{self.name}: {NOT_SEARCHED}")
        rung, lr = self._found
        return Choice(lr, None, None, (f"copied from {rung.name}", NO_INTERVAL))


def _distance(a: Rung, b: Rung) -> float:
    return math.hypot(math.log(a.n_active / b.n_active), math.log(max(a.horizons) / max(b.horizons)))


class _Swept:
    """A full grid of all cells. `minima` are the cells whose sweep brackets the minimum."""

    name: str

    def __init__(self, grid: GridSpec = GRID) -> None:
        self.grid = grid
        self.minima: list[tuple[Rung, Cell, Curve]] = []

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Sweep all cells. Raises NoProposal if no cell has its minimum between worse LRs."""
        book: Book = full_grid(lab, rungs, self.grid, payer=self.name)
        found = book.curves().items()
        self.minima = [(book.rungs[cell[0]], cell, curve) for cell, curve in found if curve.lr_best is not None]
        if not self.minima:
            raise NoProposal(f"{self.name}: {NO_MINIMUM}")

    def _ln_lrs(self) -> list[float]:
        if not self.minima:
            raise NoProposal(f"{self.name}: {NOT_SEARCHED}")
        return [math.log(curve.lr_best) for _, _, curve in self.minima if curve.lr_best is not None]


class ConstantMedian(_Swept):
    """One LR at every size and horizon: the median of the cells' best LRs."""

    name = "constant_median"

    def propose(self, target: Rung) -> Choice:
        return Choice(math.exp(float(np.median(self._ln_lrs()))), None, None, (NO_INTERVAL,))


class ConstantBest(_Swept):
    """One LR at every size and horizon: the one with the lowest sum of losses on the parabolas of the cells."""

    name = "constant_best"

    def propose(self, target: Rung) -> Choice:
        curvatures = [curve.curvature or 0.0 for _, _, curve in self.minima]  # none where a cell is only bracketed
        weights = curvatures if any(curvatures) else None
        return Choice(math.exp(float(np.average(self._ln_lrs(), weights=weights))), None, None, (NO_INTERVAL,))


class AsPublished:
    """A published law as it stands. It asks for no run."""

    def __init__(self, law: PublishedLaw) -> None:
        self.law = law
        self.name = f"{law.name}_published"

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Nothing to search."""

    def propose(self, target: Rung) -> Choice:
        """The LR of the law. Raises NoProposal if the law needs an input that is not known."""
        if self.law.needs:
            raise NoProposal(f"{self.name}: needs {self.law.needs}, which is not known")
        ln_lr = self.law.ln_lr(target.n_active, target.n_total, max(target.horizons))
        flags = (_describe(self.law), "the published factor k need not hold for another training recipe", NO_INTERVAL)
        return Choice(math.exp(ln_lr), None, None, flags)


class Refitted(_Swept):
    """A published law with its exponents, and with the factor k fitted to the minima of the cells."""

    def __init__(self, law: PublishedLaw, grid: GridSpec = GRID) -> None:
        super().__init__(grid)
        self.law = law
        self.name = f"{law.name}_refitted"

    def propose(self, target: Rung) -> Choice:
        ln_lrs = self._ln_lrs()
        said = [self.law.ln_lr(rung.n_active, rung.n_total, cell[1]) for rung, cell, _ in self.minima]
        offset = float(np.mean(np.subtract(ln_lrs, said)))
        ln_lr = self.law.ln_lr(target.n_active, target.n_total, max(target.horizons)) + offset
        flags = [_describe(self.law), f"prefactor times {math.exp(offset):.3g}", NO_INTERVAL]
        if self.law.needs:
            flags.append(f"{self.law.needs} is assumed to be the same in all cells")
        return Choice(math.exp(ln_lr), None, None, tuple(flags))


def _describe(law: PublishedLaw) -> str:
    return f"{law.source}: {law.convention}"


class _TargetTuning:
    """The best of `trials` LRs, out of those that the lab has, tried at the target itself. Each costs a target run."""

    kind: str
    on_target = True

    def __init__(self, trials: int, *, seed: int = 0) -> None:
        self.trials, self.seed = trials, seed
        self.name = f"{self.kind}_{trials}"
        self.losses: dict[float, float] = {}  # inf where it diverged

    def search(self, lab: Lab, rungs: Sequence[Rung]) -> None:
        """Tune the target, the only one of `rungs`. Raises NoProposal if every trial diverged."""
        target = rungs[0]
        lrs = sorted(fixed_lrs(lab, target.name) or ())
        if not lrs:
            raise NoProposal(f"{self.name}: the lab has no fixed LRs to choose among")
        self._tune(lab, target, lrs)
        if not any(map(math.isfinite, self.losses.values())):
            raise NoProposal(f"{self.name}: every trial diverged")

    def _tune(self, lab: Lab, target: Rung, lrs: Sequence[float]) -> None:
        raise NotImplementedError

    def _try(self, lab: Lab, target: Rung, lr: float) -> float:
        request = Request(target.name, "sp", lr, self.seed, (max(target.horizons),))
        loss = lab.measure([request], payer=self.name)[0][0].loss
        self.losses[lr] = math.inf if loss is None else loss
        return self.losses[lr]

    def propose(self, target: Rung) -> Choice:
        """The best LR that was tried. Raises NoProposal before a search."""
        if not self.losses:
            raise NoProposal(f"{self.name}: {NOT_SEARCHED}")
        return Choice(
            min(self.losses, key=lambda lr: self.losses[lr]), None, None, ("tuned at the target", NO_INTERVAL)
        )


class RandomSearch(_TargetTuning):
    """Distinct LRs at random."""

    kind = "random"

    def _tune(self, lab: Lab, target: Rung, lrs: Sequence[float]) -> None:
        picks = np.random.default_rng(self.seed).permutation(len(lrs))[: self.trials]
        for i in picks:
            self._try(lab, target, lrs[i])


class TpeSearch(_TargetTuning):
    """Optuna's TPE over the ordered LRs. It starts with two random LRs, and a repeated LR is not charged again."""

    kind = "tpe"
    startup = 2  # random LRs before the sampler chooses; assumption: with so few trials more would leave it no choice
    patience = 20  # suggestions per trial, because the sampler may repeat an LR that was tried; assumption

    def _tune(self, lab: Lab, target: Rung, lrs: Sequence[float]) -> None:
        import optuna  # takes a second to load

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=self.startup))
        for _ in range(self.patience * self.trials):
            if len(self.losses) >= min(self.trials, len(lrs)):
                return
            trial = study.ask()
            lr = lrs[trial.suggest_int("lr", 0, len(lrs) - 1)]
            study.tell(trial, self.losses[lr] if lr in self.losses else self._try(lab, target, lr))
