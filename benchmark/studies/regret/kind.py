"""Registers the regret study, the kind `benchmark`: entries propose LRs for held-out targets and are scored there."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from lrladder.benchmark.studies.kind import StartedStudy, StudyKind
from lrladder.benchmark.studies.planner import Sweep
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.lab import Lab


class RegretKind(StudyKind[RegretConfig, RegretResults]):
    """Regret studies (`kind: benchmark`)."""

    name = "benchmark"
    config_model = RegretConfig
    results_model = RegretResults
    needed_later = "lrladder.benchmark.studies.regret.assembly"

    def parametrizations(self, config: RegretConfig) -> Sequence[str]:
        return tuple(config.arms)

    def sweeps(self, config: RegretConfig) -> Iterable[Sweep]:
        from lrladder.benchmark.studies.regret.planner import sweeps

        return sweeps(config)

    def notes(self, config: RegretConfig) -> tuple[str, ...]:
        from lrladder.benchmark.studies.regret.planner import notes

        return notes(config)

    def require_classes(self, config: RegretConfig, *, from_here: bool) -> None:
        from lrladder.benchmark.studies.regret.making import require_paradigms

        require_paradigms(config, from_here=from_here)

    def simulated_lab(self, config: RegretConfig) -> Lab | None:
        from lrladder.benchmark.lab.resolve import planned_flops
        from lrladder.benchmark.lab.simulated import SimulatedLab

        truth = config.simulated
        if truth is None:
            return None
        law, flops = truth.law_for(config.base), partial(planned_flops, setup=config)
        names = {label: arm.parametrization for label, arm in config.arms.items()}
        bowl = truth.bowl.model_dump()
        return SimulatedLab(config.rungs, law, flops=flops, parametrizations=names, seed=truth.seed, **bowl)

    def start(self, config: RegretConfig, lab: Lab, on_stage: Callable[[str], None]) -> StartedStudy[RegretResults]:
        from lrladder.benchmark.studies.regret.study import RegretStudy

        return RegretStudy(config, lab, on_stage)

    def assemble(self, config: RegretConfig, found: Found) -> RegretResults:
        """Results from stored runs alone. Proposals are not stored, so the entries have no scores."""
        from lrladder.benchmark.studies.regret.assembly import assemble

        return assemble(config, found)


REGRET = RegretKind()
