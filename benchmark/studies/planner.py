"""Plans all runs of a study: tokens, FLOPs, memory and time. Needs neither torch nor a corpus."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from lrladder.benchmark.config.parts import SearchConfig
from lrladder.benchmark.documents import Document, Frozen
from lrladder.benchmark.lab import throughput
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.time_left import Work
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.training import disk, memory
from lrladder.paradigms.lab import ParametrizationName, Request
from lrladder.paradigms.sweep.grid import grid_lr

SCHEMA = "lrladder.plan/1"
Purpose = Literal["search", "roles", "recipe", "validation", "oracle"]


class PlannedTrials(Frozen):
    """Runs that differ only in the seed. `lr` None: it is not known before the study runs.

    An `extension` runs only if the best LR of a sweep is at an edge. It extends the sweep at that edge.
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
    memory_bytes: float  # of one run
    checkpoint_bytes: float  # of one run while it trains
    kept_bytes: float  # of one run when it has ended
    seconds: float  # of one run on one worker

    @property
    def runs(self) -> int:
        return len(self.seeds)


class Totals(Frozen):
    runs: int
    tokens: int
    flops: float
    worker_seconds: float
    seconds: float  # wall time: worker_seconds / workers, but at least the longest run

    @property
    def hours(self) -> float:
        return self.seconds / 3600


class Plan(Document):
    schema_: str = SCHEMA
    name: str
    config_digest: str
    workers: int
    trials: tuple[PlannedTrials, ...]
    planned: Totals  # if no sweep is extended
    maximum: Totals  # if every sweep is extended as often as the config allows
    peak_memory_bytes: float  # if every worker trains the largest run
    disk_bytes: float  # of the checkpoints of that moment, and of what all runs keep
    throughput_source: str
    memory_source: str
    disk_source: str
    notes: tuple[str, ...] = ()


class Sweep(NamedTuple):
    payer: str
    purpose: Purpose
    rung: Rung
    parametrization: ParametrizationName
    lrs: list[tuple[float | None, bool]]  # each LR, and whether it is an extension
    seeds: tuple[int, ...]
    horizons: tuple[int, ...]
    horizon_exponent: float | None = None  # as in Request


def plan_sweeps(
    study: StudyConfig,
    sweeps: Iterable[Sweep],
    *,
    notes: tuple[str, ...] = (),
    workers: int = 1,
    flops_per_second: float | None = None,
) -> Plan:
    """The plan of a study of any kind, from its sweeps."""
    trials = tuple(
        _planned(study, sweep, lr, extension, flops_per_second) for sweep in sweeps for lr, extension in sweep.lrs
    )
    given = f"given: {flops_per_second or 0:.3g} FLOP/s per worker, in bf16"
    return Plan(
        name=study.name,
        config_digest=study.digest,
        workers=workers,
        trials=trials,
        planned=_totals([trial for trial in trials if not trial.extension], workers),
        maximum=_totals(trials, workers),
        peak_memory_bytes=workers * max(trial.memory_bytes for trial in trials),
        disk_bytes=_disk_bytes(trials, workers),
        throughput_source=throughput.SOURCE if flops_per_second is None else given,
        memory_source=memory.SOURCE,
        disk_source=disk.SOURCE,
        notes=notes,
    )


def works_of(study: StudyConfig, plan: Plan) -> Iterator[Work]:
    """What a plan foresees without extensions, to say how much time is left."""
    for trial in plan.trials:
        if not trial.extension:
            width = study.rungs.rung(trial.rung).shape.width
            yield Work((trial.payer, trial.parametrization), width, trial.runs * trial.seconds)


def search_sweep(payer: str, rung: Rung, parametrization: ParametrizationName, spec: SearchConfig) -> Sweep:
    """The sweep of an LR search on one rung."""
    grid: list[tuple[float | None, bool]] = [(lr, False) for lr in starting_grid(spec)]
    grid += extensions(rung, spec.max_extensions)
    return Sweep(payer, "search", rung, parametrization, grid, spec.seeds, rung.horizons)


def starting_grid(spec: SearchConfig) -> list[float]:
    """The LRs of a search before any extension, in ascending order."""
    return [grid_lr(spec, k - spec.points // 2) for k in range(spec.points)]


def extensions(rung: Rung, rounds: int) -> list[tuple[float | None, bool]]:
    """The largest number of extensions: one LR per round, or two if horizons need different ends of the grid."""
    count = rounds * min(2, len(rung.read))
    return [(None, True) for _ in range(count)]


def _planned(
    study: StudyConfig, sweep: Sweep, lr: float | None, extension: bool, flops_per_second: float | None
) -> PlannedTrials:
    run = Request(sweep.rung.name, sweep.parametrization, lr or 1.0, sweep.seeds[0], sweep.horizons)
    request = run._replace(horizon_exponent=sweep.horizon_exponent)
    parts = resolve(request, study, corpus_digest="", precision="bf16" if flops_per_second else "fp32")
    flops = sum(trial.flops for trial in parts)
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
        flops=flops,
        memory_bytes=max(map(memory.memory_bytes, parts)),
        checkpoint_bytes=max(map(disk.checkpoint_bytes, parts)),
        kept_bytes=sum(map(disk.trunk_bytes, parts)) if sweep.rung.part == "target" else 0.0,
        seconds=flops / (flops_per_second or throughput.cpu_flops_per_second(sweep.rung.shape.width)),
    )


def _disk_bytes(trials: Sequence[PlannedTrials], workers: int) -> float:
    running = workers * max(trial.checkpoint_bytes for trial in trials)
    return running + sum(trial.runs * trial.kept_bytes for trial in trials)


def _totals(trials: Sequence[PlannedTrials], workers: int) -> Totals:
    seconds = sum(trial.runs * trial.seconds for trial in trials)
    return Totals(
        runs=sum(trial.runs for trial in trials),
        tokens=sum(trial.runs * trial.tokens for trial in trials),
        flops=sum(trial.runs * trial.flops for trial in trials),
        worker_seconds=seconds,
        seconds=max(seconds / workers, max(trial.seconds for trial in trials)),
    )
