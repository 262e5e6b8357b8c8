"""Every run of a regret study, before anything runs."""

from collections.abc import Iterator

from lrladder.benchmark.config.parts import RoleSearchConfig
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.planner import Sweep, extensions, search_sweep
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.protocol import ORACLES
from lrladder.paradigms.lab import ParametrizationName
from lrladder.paradigms.mutransfer.horizon_rule import searched_horizons

NOTES = (
    "validation LRs are proposed by the searches; oracle grids start at the proposal of the same parametrization",
    "one validation run per paradigm, horizon and seed; runs that share an LR and a seed are trained once",
)
SIMULATED_NOTE = (
    "the config asks for simulated losses: `run` trains nothing, the FLOPs and time are those of training it"
)


def notes(config: RegretConfig) -> tuple[str, ...]:
    return NOTES if config.simulated is None else (SIMULATED_NOTE, *NOTES)


def sweeps(config: RegretConfig) -> Iterator[Sweep]:
    ladder, paradigms, validation = config.rungs, config.paradigms, config.validation
    for rung in ladder.proxies:
        yield search_sweep("fitting", rung, "sp", paradigms.fitting)
    proxy, transfer = ladder.rung(paradigms.mutransfer_proxy), paradigms.mutransfer
    searched = proxy._replace(horizons=searched_horizons(transfer.rules.horizon, proxy.horizons))
    yield search_sweep("mutransfer", searched, "mup", transfer)
    if paradigms.modules is not None:
        yield _role_search(proxy, paradigms.modules, transfer.seeds)
    for rung in ladder.targets:
        for parametrization in (*ORACLES, *(["mup+power"] if paradigms.power else [])):
            for horizons in _validated(config, rung, parametrization):
                proposal: list[tuple[float | None, bool]] = [(None, False)]
                yield Sweep("validation", "validation", rung, parametrization, proposal, validation.seeds, horizons)
        if paradigms.modules is not None:  # the same runs as muTransfer's where the search accepts no multiplier
            with_roles: list[tuple[float | None, bool]] = [(None, True)]
            yield Sweep("validation", "validation", rung, "mup", with_roles, validation.seeds, rung.read)
    for rung in ladder.targets:
        for parametrization in ORACLES:
            grid: list[tuple[float | None, bool]] = [(None, False)] * validation.oracle_points
            grid += extensions(rung, validation.max_extensions)
            if validation.oracle_refine:  # once at most where horizons agree on the best LR, else once for each of them
                grid += [(None, i >= 2) for i in range(2 * len(rung.horizons))]
            payer = f"oracle-{parametrization}"
            yield Sweep(payer, "oracle", rung, parametrization, grid, validation.sweep_seeds, rung.read)
    if paradigms.modules is not None and paradigms.modules.ablate:
        tried: list[tuple[float | None, bool]] = [(None, False)] * (2 * len(paradigms.modules.roles))
        for rung in ladder.targets:
            for horizon in rung.horizons:
                yield Sweep("ablation", "roles", rung, "mup", tried, validation.seeds, (horizon,))


def _validated(config: RegretConfig, rung: Rung, parametrization: ParametrizationName) -> list[tuple[int, ...]]:
    """Horizons that one proposal's run is read at: all where its LR does not depend on them."""
    if parametrization == "mup+power":
        return [rung.read]
    return [*((h,) for h in rung.horizons[:-1]), (rung.horizons[-1], *rung.continued)]


def _role_search(proxy: Rung, spec: RoleSearchConfig, seeds: tuple[int, ...]) -> Sweep:
    """The start and both ways of each role that the budget pays for, at the proxy's longest horizon."""
    tried = 2 * min(len(spec.roles), max(0, spec.max_trials // len(seeds) - 1) // 2)
    runs: list[tuple[float | None, bool]] = [(None, False)] * (1 + tried if tried else 0)
    return Sweep("mutransfer+modules", "roles", proxy, "mup", runs, seeds, (max(proxy.horizons),))
