"""Plans all runs of a study: tokens, FLOPs, memory and time. Needs neither torch nor a corpus."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from lrladder.benchmark.config.parts import SearchConfig
from lrladder.benchmark.documents import Document, Frozen
from lrladder.benchmark.lab import throughput
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.time_left import Work
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.training import disk, memory, placement
from lrladder.benchmark.training.gpus import Gpus
from lrladder.paradigms.lab import ParametrizationName, Request
from lrladder.paradigms.sweep.grid import first_lrs

SCHEMA = "lrladder.plan/1"
Purpose = Literal["search", "roles", "recipe", "validation", "oracle"]
Lrs = list[tuple[float | None, bool]]  # each LR, None if it is not known yet, and whether it may not be run at all


class PlannedTrials(Frozen):
    """Planned runs that differ only in the seed. An `lr` of None is not known before the study runs.

    An `extension` is only run if a search needs it: above all if the best LR so far is at the end of a sweep.
    """

    payer: str
    purpose: Purpose
    rung: str
    parametrization: ParametrizationName
    lr: float | None
    extension: bool
    seeds: tuple[int, ...]
    horizons: tuple[int, ...]
    tokens: int  # of one run: trunk and decays; or the sum of one run per horizon, if a rule depends on it
    flops: float  # of one run
    memory_bytes: float  # of one run, on each of its devices
    checkpoint_bytes: float  # of one run while it trains
    kept_bytes: float  # of one run when it has ended
    seconds: float  # of one run on one worker, or on its devices
    devices: int = 1

    @property
    def runs(self) -> int:
        """The number of runs."""
        return len(self.seeds)


class PlacedRung(Frozen):
    """How the longest run of a rung is best trained on the GPUs that were asked about.

    `gpus` None: the run fits in no way. `fewest` is the smallest number of GPUs on which it fits.
    """

    rung: str
    gpus: int | None = None
    fewest: int | None = None
    zero_stage: int = 0
    expert_parallel: int = 1  # devices over which the experts are spread
    micro_batch: int = 0  # sequences
    recompute: str = "none"
    needed_bytes: float = 0.0  # on each GPU, with what the process itself needs
    memory: Mapping[str, float] = Field(default_factory=dict)  # bytes by part, docs/devices.md
    seconds: float = 0.0


class Totals(Frozen):
    """Sums over planned runs."""

    runs: int
    tokens: int
    flops: float
    worker_seconds: float  # or seconds of all devices together
    seconds: float  # wall time: worker_seconds / workers, but at least the longest run

    @property
    def hours(self) -> float:
        return self.seconds / 3600


class Plan(Document):
    """All planned runs of a study, with what they need. `lrladder plan --json` prints it."""

    schema_: str = SCHEMA
    name: str
    config_digest: str
    workers: int
    trials: tuple[PlannedTrials, ...]
    planned: Totals  # if no sweep is extended
    maximum: Totals  # if every sweep is extended as often as the config allows
    peak_memory_bytes: float  # if every worker trains the largest run
    disk_bytes: float  # of the checkpoints at that moment, and of what all runs keep when they have ended
    throughput_source: str
    memory_source: str
    disk_source: str
    placed: tuple[PlacedRung, ...] = ()
    notes: tuple[str, ...] = ()


class Sweep(NamedTuple):
    """Planned runs at several LRs that have everything else in common but the seed."""

    payer: str
    purpose: Purpose
    rung: Rung
    parametrization: ParametrizationName
    lrs: Lrs
    seeds: tuple[int, ...]
    horizons: tuple[int, ...]
    horizon_exponent: float | None = None  # as in Request

    def request(self, lr: float | None = None) -> Request:
        """The run with the first seed, which costs what every other one does. An LR that is not known counts as 1."""
        name, seed = self.rung.name, self.seeds[0]
        return Request(name, self.parametrization, lr or 1.0, seed, self.horizons, self.horizon_exponent)


def plan_sweeps(
    study: StudyConfig,
    sweeps: Iterable[Sweep],
    *,
    notes: tuple[str, ...] = (),
    workers: int = 1,
    flops_per_second: float | None = None,
    gpus: Gpus | None = None,
) -> Plan:
    """The plan of a study of any kind, from its sweeps.

    With `gpus`, each run uses all of them, with the cheapest settings that fit.
    """
    found = list(sweeps)
    trials = tuple(
        _planned(study, sweep, lr, extension, flops_per_second, gpus) for sweep in found for lr, extension in sweep.lrs
    )
    source = throughput.SOURCE
    if flops_per_second is not None:
        source = f"given: {flops_per_second:.3g} FLOP/s per worker, in bf16"
    if gpus is not None:
        workers, source = gpus.number, placement.SOURCE
    return Plan(
        name=study.name,
        config_digest=study.digest,
        workers=workers,
        trials=trials,
        planned=_totals([trial for trial in trials if not trial.extension], workers),
        maximum=_totals(trials, workers),
        peak_memory_bytes=workers * max(trial.memory_bytes for trial in trials),
        disk_bytes=_disk_bytes(trials, workers),
        throughput_source=source,
        memory_source=memory.SOURCE,
        disk_source=disk.SOURCE + (disk.WEIGHTS_SOURCE if study.training.keep_weights != "none" else ""),
        placed=_placed(study, found, gpus) if gpus is not None else (),
        notes=notes,
    )


def num_runs(sweeps: Iterable[Sweep]) -> tuple[int, int]:
    """The number of runs of a plan of these sweeps: without extensions, and with all of them."""
    found = [(len(sweep.seeds), sweep.lrs) for sweep in sweeps]
    planned = sum(seeds * sum(not extension for _, extension in lrs) for seeds, lrs in found)
    return planned, sum(seeds * len(lrs) for seeds, lrs in found)


def works_of(study: StudyConfig, plan: Plan) -> Iterator[Work]:
    """The work of a plan here, without extensions, from which the display of progress estimates the time left."""
    widths = {rung.name: rung.shape.width for rung in study.trained_here}
    for trial in plan.trials:
        if not trial.extension and (width := widths.get(trial.rung)) is not None:
            yield Work((trial.payer, trial.parametrization), width, trial.runs * trial.seconds * trial.devices)


def search_sweep(payer: str, rung: Rung, parametrization: ParametrizationName, spec: SearchConfig) -> Sweep:
    """The sweep of an LR search on one rung."""
    grid: Lrs = [(lr, False) for lr in first_lrs(spec)]
    grid += extensions(rung, spec.max_extensions)
    return Sweep(payer, "search", rung, parametrization, grid, spec.seeds, rung.horizons)


def extensions(rung: Rung, rounds: int) -> Lrs:
    """The largest number of extensions: one LR per round, or two if horizons need different ends of the grid."""
    count = rounds * min(2, len(rung.read))
    return [(None, True) for _ in range(count)]


def _parts(study: StudyConfig, sweep: Sweep, lr: float | None, precision: Literal["fp32", "bf16"]) -> Sequence[Trial]:
    return resolve(sweep.request(lr), study, corpus_digest="", precision=precision)


def _placed(study: StudyConfig, sweeps: Sequence[Sweep], gpus: Gpus) -> tuple[PlacedRung, ...]:
    """The placement of each rung's longest run, in the order of the ladder."""
    longest: dict[str, Trial] = {}
    for sweep in sweeps:
        for trial in _parts(study, sweep, None, "bf16"):
            if trial.flops > (longest[sweep.rung.name].flops if sweep.rung.name in longest else 0):
                longest[sweep.rung.name] = trial
    return tuple(_placed_rung(rung.name, longest[rung.name], gpus) for rung in study.rungs if rung.name in longest)


def _placed_rung(name: str, trial: Trial, gpus: Gpus) -> PlacedRung:
    best, fewest = placement.cheapest(trial, *gpus), placement.fewest(trial, *gpus)
    if best is None:
        return PlacedRung(rung=name, fewest=fewest)
    return PlacedRung(
        rung=name,
        gpus=best.training.devices,
        fewest=fewest,
        zero_stage=best.training.zero_stage,
        expert_parallel=best.training.expert_parallel,
        micro_batch=best.micro_batch,
        recompute=best.training.recompute,
        needed_bytes=best.needed_bytes,
        memory=best.memory._asdict(),
        seconds=best.seconds,
    )


class _Cost(NamedTuple):
    """What one run needs: bytes on each device, seconds of wall time, and the number of devices."""

    memory_bytes: float
    seconds: float
    devices: int


def _cost(trial: Trial, flops_per_second: float, gpus: Gpus | None) -> _Cost:
    """The cost of one run. If no settings make it fit on the GPUs, it is that of the config, with an infinite time."""
    best = placement.cheapest(trial, *gpus) if gpus is not None else None
    if best is not None:
        return _Cost(best.memory.total, best.seconds, best.training.devices)
    micro_batch, count = memory.micro_batch_of(trial, None), trial.training.devices
    again = memory.passes(trial, micro_batch) / 3  # trial.flops counts 3 passes: a forward, and a backward that costs 2
    seconds = math.inf if gpus is not None else again * trial.flops / flops_per_second / count
    return _Cost(memory.memory_bytes(trial), seconds, count)


def _planned(
    study: StudyConfig,
    sweep: Sweep,
    lr: float | None,
    extension: bool,
    flops_per_second: float | None,
    gpus: Gpus | None,
) -> PlannedTrials:
    parts = _parts(study, sweep, lr, "bf16" if flops_per_second or gpus else "fp32")
    rate = flops_per_second or throughput.cpu_flops_per_second(sweep.rung.shape.width)
    costs = [_cost(trial, rate, gpus) for trial in parts]
    return PlannedTrials(
        payer=sweep.payer,
        purpose=sweep.purpose,
        rung=sweep.rung.name,
        parametrization=sweep.parametrization,
        lr=lr,
        extension=extension,
        seeds=sweep.seeds,
        horizons=sweep.horizons,
        tokens=sum(trial.tokens for trial in parts),
        flops=sum(trial.flops for trial in parts),
        memory_bytes=max(cost.memory_bytes for cost in costs),
        checkpoint_bytes=max(map(disk.checkpoint_bytes, parts)),
        kept_bytes=_kept_bytes(study, parts) if sweep.rung.part == "target" else 0.0,
        seconds=sum(cost.seconds for cost in costs),
        devices=max(cost.devices for cost in costs),
    )


def _kept_bytes(study: StudyConfig, parts: Sequence[Trial]) -> float:
    """What the run of a target leaves on the disk: its trunk, and its weights if they are kept."""
    weights = sum(map(disk.weights_bytes, parts)) if study.training.keep_weights != "none" else 0.0
    return sum(map(disk.trunk_bytes, parts)) + weights


def _disk_bytes(trials: Sequence[PlannedTrials], workers: int) -> float:
    running = workers * max(trial.checkpoint_bytes for trial in trials)
    return running + sum(trial.runs * trial.kept_bytes for trial in trials)


def _totals(trials: Sequence[PlannedTrials], workers: int) -> Totals:
    seconds = sum(trial.runs * trial.seconds * trial.devices for trial in trials)
    return Totals(
        runs=sum(trial.runs for trial in trials),
        tokens=sum(trial.runs * trial.tokens for trial in trials),
        flops=sum(trial.runs * trial.flops for trial in trials),
        worker_seconds=seconds,
        seconds=max(seconds / workers, max(trial.seconds for trial in trials)),
    )
