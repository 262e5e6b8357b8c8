"""Lean and full sweeps at the targets of the preset `cpu`, on the same random numbers and through the whole scoring.

`python -m tests.benchmark.studies.regret.simulated_sweeps 500` prints the table of docs/decision.md with 500 studies a
pattern. The entries propose LRs at random near the best one, and nothing is searched.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import combinations
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.lab.recorder import Recorder
from lrladder.benchmark.lab.resolve import planned_flops
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.benchmark.studies.regret.results import TargetResult
from lrladder.benchmark.studies.regret.scoring.comparison import compare
from lrladder.benchmark.studies.regret.scoring.decision import decide
from lrladder.benchmark.studies.regret.scoring.near import target_noises
from lrladder.benchmark.studies.regret.scoring.oracle import Oracle, find_oracle
from lrladder.benchmark.studies.regret.scoring.widths import Widths
from lrladder.benchmark.studies.regret.study import RegretStudy
from lrladder.paradigms.lab import Measurement, Request
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.paradigm import Proposal
from lrladder.paradigms.sweep.grid import STEPS_PER_OCTAVE
from tests.benchmark.studies.regret.simulated_studies import ENDS, LENGTH, NEAR, SMOOTH, Array

SD, BOWL = 0.007, 0.040  # nats; nats per octave^2: those of `cpu`
SKEW = 0.3  # of the pattern "skew": 1 octave above the best LR the loss rises 1.3 times, 1 below 1 / 1.3 times as much
SPREAD = 0.35  # octaves; sd of a proposal, assumed
FAR = {"nearest_cell": 0.6, "mutransfer+power": 0.8}  # octaves by which these entries miss the best LR; assumed
REACH = 6  # octaves on either side of the guess for which losses are drawn
PATTERNS = ("even", "quiet", "loud", "t3", "inter", "prop", "cpu", "skew")
CPU = load_config("cpu")


class Arm(NamedTuple):
    """The losses of one arm at one target, on the lattice of 1/16 octave; the true loss at the best LR is 0."""

    best: float  # octaves above the guess
    rise: Array  # (LRs): true losses
    losses: Array  # (seeds, LRs)
    proposed: dict[str, int]  # steps of the lattice, by entry


class Truth(NamedTuple):
    """All that a study can measure, by target and arm. It is the same for a study with lean and with full sweeps."""

    arms: dict[tuple[str, str], Arm]

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        return [[self._read(request)] for request in requests]

    def cost_flops(self, payer: str) -> float:
        return 0.0

    def flops(self, request: Request) -> float:
        return _flops(request._replace(lr=1.0, seed=0))

    def _read(self, request: Request) -> Measurement:
        steps = round(STEPS_PER_OCTAVE * (math.log2(request.lr / CPU.oracle_guess(request.parametrization)) + REACH))
        (horizon,) = request.horizons
        return Measurement(
            trial_id=repr(request),
            rung=request.rung,
            parametrization=request.parametrization,
            lr=request.lr,
            seed=request.seed,
            horizon=horizon,
            verdict="finished",
            loss=3 + float(self.arms[request.rung, request.parametrization].losses[request.seed, steps]),
            flops=self.flops(request),
        )


@cache
def _flops(request: Request) -> float:
    return planned_flops(request, CPU)


class Reading(NamedTuple):
    """A number of the conclusion with the half width of its interval, and the true number; nats."""

    value: float
    half: float
    true: float
    far: int = 0  # of a difference: its entries, of two, that are more than NEAR octaves from the best LR of their arm


class Judged(NamedTuple):
    """What a study found: readings by kind, in an order that is the same for all studies, and its FLOPs at targets."""

    readings: dict[str, list[Reading]]
    best_lrs: list[tuple[float, float, float]]  # octaves by which the best LR and its interval's ends miss the truth
    false_minima: list[bool]  # by target: whether one of the minima, which are truly equal, is called different
    flops: float


def draw(pattern: str, rng: np.random.Generator) -> Truth:
    octaves = np.arange(-REACH * STEPS_PER_OCTAVE, REACH * STEPS_PER_OCTAVE + 1) / STEPS_PER_OCTAVE
    arms = {}
    for rung in CPU.rungs.targets:
        common = 5 * SD * rng.standard_normal((len(CPU.validation.seeds), 1))
        for label in CPU.labels:
            best = rng.uniform(-0.5, 0.5)
            x = octaves - best
            skew = SKEW * np.abs(x) if pattern == "skew" else 0 * x
            rise = BOWL * x**2 * np.where(x > 0, 1 + skew, 1 / (1 + skew))
            noise = _noise("cpu" if pattern == "skew" else pattern, x, rng)
            names = [name for name, entry in CPU.entries.items() if label_of(entry.arm) == label]
            places = {name: best + FAR.get(name, 0.0) + SPREAD * rng.standard_normal() for name in names}
            steps = {name: round(STEPS_PER_OCTAVE * place) for name, place in places.items()}
            arms[rung.name, label] = Arm(best, rise, rise + common + SD * noise, steps)
    return Truth(arms)


def _noise(pattern: str, x: Array, rng: np.random.Generator) -> Array:
    """(seeds, LRs) in sds, as in `simulated_studies`; x: octaves from the best LR."""
    shape = (len(CPU.validation.seeds), len(x))
    plain = rng.standard_t(3, shape) / 3**0.5 if pattern == "t3" else rng.standard_normal(shape)
    if pattern in ENDS:
        return plain * np.where(np.abs(x) > NEAR, ENDS[pattern], 1.0)
    if pattern == "prop":
        return plain * (0.4 + 1.2 * np.abs(x))
    if pattern == "inter":
        return plain + rng.standard_normal((shape[0], 1))
    if pattern == "cpu":
        return (1 - SMOOTH) ** 0.5 * plain + SMOOTH**0.5 * rng.standard_normal(shape) @ _smooth().T
    return plain


@cache
def _smooth() -> Array:
    x = np.arange(2 * REACH * STEPS_PER_OCTAVE + 1) / STEPS_PER_OCTAVE
    return np.linalg.cholesky(np.exp(-(((x[:, None] - x) / LENGTH) ** 2) / 2) + 1e-6 * np.eye(len(x)))


def judge(truth: Truth, config: RegretConfig) -> Judged:
    recorder = Recorder(truth)  # type: ignore[arg-type]
    study = RegretStudy(config, recorder, lambda stage: None)
    study.proposals = list(_proposals(truth, config))
    study._validate()
    for label in config.labels:
        for rung in config.rungs.targets:
            study._sweep_oracle(label, rung)
    runs = recorder.measurements
    noises = target_noises(config, runs, study.proposals)
    found = Judged({"difference": [], "LR regret": [], "regret": [], "minima": []}, [], [], sum(m.flops for m in runs))
    for rung in config.rungs.targets:
        target = compare(config, runs, study.proposals, rung, rung.horizons[0], noises, {})
        _add(found, target, truth, config)
        oracles = {
            label: find_oracle(config, runs, rung, rung.horizons[0], label, noises.curves, study.proposals)
            for label in config.labels
        }
        _add_minima(found, oracles, Widths(noises, oracles))
    return found


def _proposals(truth: Truth, config: RegretConfig) -> Iterator[Proposal]:
    for (rung, label), arm in truth.arms.items():
        for name, steps in arm.proposed.items():
            lr = config.oracle_guess(label) * 2 ** (steps / STEPS_PER_OCTAVE)
            horizon = config.rungs.rung(rung).horizons[0]
            yield Proposal(
                paradigm=name, parametrization=label, rung=rung, horizon=horizon, lr=lr, lr_low=lr, lr_high=lr,
                extrapolation=1.0,
            )  # fmt: skip


def _add(found: Judged, target: TargetResult, truth: Truth, config: RegretConfig) -> None:
    true, far = {}, {}
    for p in target.paradigms:
        arm = truth.arms[target.rung, p.parametrization]
        far[p.name] = abs(arm.proposed[p.name] / STEPS_PER_OCTAVE - arm.best) > NEAR
        true[p.name] = float(arm.rise[arm.proposed[p.name] + REACH * STEPS_PER_OCTAVE])
        found.readings["LR regret"].append(_reading(p.lr_regret, p.lr_regret_low, true[p.name]))
        found.readings["regret"].append(_reading(p.regret, p.regret_low, true[p.name]))
    for d in target.differences:
        reading = _reading(d.value, d.low, true[d.second] - true[d.first])
        found.readings["difference"].append(reading._replace(far=far[d.first] + far[d.second]))
    for label, oracle in target.oracle.items():
        if oracle.status == "interior" and oracle.lr and oracle.lr_low and oracle.lr_high:
            best = config.oracle_guess(label) * 2 ** truth.arms[target.rung, label].best
            found.best_lrs.append(tuple(math.log2(lr / best) for lr in (oracle.lr, oracle.lr_low, oracle.lr_high)))  # type: ignore[arg-type]


def _add_minima(found: Judged, oracles: Mapping[str, Oracle], widths: Widths) -> None:
    """The differences of all two minima, which are truly 0, and whether one of them is falsely named or behind."""
    losses = {label: oracle.result.loss or math.nan for label, oracle in oracles.items()}
    for first, second in combinations(losses, 2):
        value, half = losses[second] - losses[first], widths.minima(first, second, LEVEL)
        found.readings["minima"].append(Reading(value, math.nan if half is None else half, 0.0))
    decision = decide(losses, widths.minima)
    found.false_minima.append(decision.winner is not None or bool(decision.behind))


def _reading(value: float | None, low: float | None, true: float) -> Reading:
    if value is None or low is None:
        return Reading(math.nan, math.nan, true)
    return Reading(value, value - low, true)


def compared(pattern: str, studies: int, seed: int = 0) -> str:
    """One line: FLOPs saved, and for each kind of reading the median ratio of widths and both coverages."""
    rng = np.random.default_rng([seed, PATTERNS.index(pattern)])
    lean = CPU.model_copy(update={"validation": CPU.validation.model_copy(update={"oracle_lean": True})})
    full = CPU.model_copy(update={"validation": CPU.validation.model_copy(update={"oracle_lean": False})})
    pairs = [tuple(map(partial(judge, truth), (full, lean))) for truth in (draw(pattern, rng) for _ in range(studies))]
    words = [f"{pattern}: {1 - sum(b.flops for _, b in pairs) / sum(a.flops for a, _ in pairs):.1%} saved"]
    for kind in pairs[0][0].readings:
        before, after = (np.array([r for pair in pairs for r in pair[i].readings[kind]]) for i in (0, 1))
        use = np.isfinite(before).all(1) & np.isfinite(after).all(1) & (before[:, 1] > 0) & (after[:, 1] > 0)
        hits = [np.abs(a[use, 0] - a[use, 2]) <= a[use, 1] for a in (before, after)]
        covers = [100 * np.mean(hit) for hit in hits]
        rms = [1000 * np.sqrt(np.mean((a[use, 0] - a[use, 2]) ** 2)) for a in (before, after)]
        ratio = np.median(after[use, 1] / before[use, 1])
        words.append(
            f"{kind} {ratio:.3f}, covered {covers[0]:.1f}/{covers[1]:.1f}, rms {rms[0]:.1f}/{rms[1]:.1f} ({use.sum()})"
        )
        if kind == "difference":
            words += [_of_far(n, before[use, 3] == n, *hits) for n in range(3)]
    for name, i in (("full", 0), ("lean", 1)):
        words.append(
            f"{name}: minima falsely told apart {100 * np.mean([x for p in pairs for x in p[i].false_minima]):.1f}"
        )
        best = np.array([b for pair in pairs for b in pair[i].best_lrs])
        inside = 100 * np.mean((best[:, 1] <= 0) & (best[:, 2] >= 0))
        words.append(f"best LR rms {np.sqrt(np.mean(best[:, 0] ** 2)):.3f} covered {inside:.1f} ({len(best)})")
    return "; ".join(words)


def _of_far(n: int, those: Array, *hits: Array) -> str:
    """The coverages of the differences with `n` entries far from the best LR."""
    full, lean = (100 * np.mean(hit[those]) if those.any() else math.nan for hit in hits)
    return f"of these {n} far: covered {full:.1f}/{lean:.1f} ({those.sum()})"


if __name__ == "__main__":
    for pattern in sys.argv[2:] or PATTERNS:
        print(compared(pattern, int(sys.argv[1]) if len(sys.argv) > 1 else 100), flush=True)
