"""Plans the runs of each entry's search, as far as they are known before anything runs."""

from collections.abc import Callable, Iterator

from lrladder.benchmark.lab.resolve import planned_flops
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.planner import Lrs, Sweep, search_sweep
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.entries import EntryConfig
from lrladder.benchmark.studies.regret.making import horizon_rule
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.paradigms.lab import largest_aim
from lrladder.paradigms.mutransfer.horizon_rule import searched_horizons
from lrladder.paradigms.settings import (
    FittingSettings,
    GridSettings,
    MuTransferSettings,
    PublishedSettings,
    RoleSearchSettings,
    TuningSettings,
)

# LRs of one cell: how many a strategy starts with, and how many the plan assumes that it adds at most.
OPENING, MORE = 3, 6
GRID, GRID_MORE = 5, 4  # the same for a strategy that runs a whole grid in each cell
FACTOR_HORIZONS = 3  # horizons of each size that the strategy search_factor searches


def planned_search(config: RegretConfig, name: str) -> Iterator[Sweep]:
    """The planned sweeps of an entry's search; none for a class of the user's own.

    They are exact for a search on a grid. A strategy that looks at losses may ask for other runs.
    """
    entry = config.entries[name]
    for kind, plan in _PLANS.items():
        if isinstance(entry.settings, kind):
            yield from plan(config, name, entry)
            return


def role_search_of(entry: EntryConfig) -> RoleSearchSettings | None:
    """The settings of muTransfer's search for LR multipliers of roles; None for an entry without one."""
    return entry.settings.role_search if isinstance(entry.settings, MuTransferSettings) else None


def _fitting(config: RegretConfig, name: str, entry: EntryConfig) -> Iterator[Sweep]:
    settings, label = entry.settings, label_of(entry.searched)
    assert isinstance(settings, FittingSettings)
    if settings.strategy == "full":
        for rung in config.rungs.proxies:
            sweep = search_sweep(name, rung, label, settings)
            certain = 1 if settings.confirm == "if_noisy" else len(settings.seeds)
            yield sweep._replace(seeds=settings.seeds[:certain])
            if settings.seeds[certain:]:
                yield sweep._replace(seeds=settings.seeds[certain:], lrs=[(lr, True) for lr, _ in sweep.lrs])
        return
    yield from _within_budget(config, entry, _opened(config, name, entry, settings))


def _opened(config: RegretConfig, name: str, entry: EntryConfig, settings: FittingSettings) -> Iterator[Sweep]:
    """The cells that the strategy is likely to search, smallest rung first. The cells of one rung share trunks."""
    rungs = sorted(config.rungs.proxies, key=lambda rung: rung.n_active)
    for rung in rungs:
        ends = sorted(rung.horizons)
        some = {ends[0], ends[len(ends) // 2], ends[-1]} if len(ends) >= FACTOR_HORIZONS else set(ends)
        in_l = ends if rung == rungs[0] else ends[:1]
        horizons = tuple(sorted(some) if settings.strategy == "search_factor" else in_l)
        grid: Lrs = [*[(None, False)] * OPENING, *[(None, True)] * MORE]
        yield Sweep(name, "search", rung, label_of(entry.searched), grid, settings.seeds[:1], horizons)


def _within_budget(config: RegretConfig, entry: EntryConfig, found: Iterator[Sweep]) -> Iterator[Sweep]:
    """The sweeps, in which the first LRs are certain for as long as the budget pays for them."""
    aim = largest_aim(config.rungs)
    assert aim is not None  # a config has a target or a goal
    left = float("inf") if entry.budget is None else entry.budget * aim.flops_per_token * max(aim.horizons)
    for sweep in found:
        left -= OPENING * planned_flops(sweep.request(), config)
        yield sweep if left >= 0 else sweep._replace(lrs=[(lr, True) for lr, _ in sweep.lrs])


def _mutransfer(config: RegretConfig, name: str, entry: EntryConfig) -> Iterator[Sweep]:
    settings = entry.settings
    assert isinstance(settings, MuTransferSettings)
    proxy, label = _proxy(config, entry), label_of(entry.searched)
    horizons = searched_horizons(horizon_rule(config, entry.arm), proxy.horizons)
    yield search_sweep(name, proxy._replace(horizons=horizons), label, settings)
    if settings.role_search is not None:
        yield from _role_search(name, proxy, label, settings.role_search, settings.seeds)


def _role_search(
    name: str, proxy: Rung, label: str, spec: RoleSearchSettings, seeds: tuple[int, ...]
) -> Iterator[Sweep]:
    """A run at the LR found, and two for each role, with a larger and a smaller LR, as far as `max_trials` allows.

    All are at the proxy's longest horizon.
    """
    tried = 2 * min(len(spec.roles), max(0, spec.max_trials // len(seeds) - 1) // 2)
    runs: Lrs = [(None, False)] * (1 + tried if tried else 0)
    if runs:
        yield Sweep(name, "roles", proxy, label, runs, seeds, (max(proxy.horizons),))


def _published(config: RegretConfig, name: str, entry: EntryConfig) -> Iterator[Sweep]:
    """What fits the factor of a published law: a sweep of the proxy, a grid in every cell, or no runs at all."""
    assert isinstance(entry.settings, PublishedSettings)
    if entry.settings.prefactor == "proxy":
        proxy, label = _proxy(config, entry), label_of(entry.searched)
        yield search_sweep(name, proxy._replace(horizons=(max(proxy.horizons),)), label, entry.settings)
    elif entry.settings.prefactor == "cells":
        yield from _grid(config, name, entry)


def _tuning(config: RegretConfig, name: str, entry: EntryConfig) -> Iterator[Sweep]:
    settings = entry.settings
    assert isinstance(settings, TuningSettings)
    runs: Lrs = [(None, False)] * settings.trials
    for rung in config.rungs.targets:
        horizons = (max(rung.horizons),)
        yield Sweep(name, "search", rung, label_of(entry.searched), runs, (settings.seed,), horizons)


def _grid(config: RegretConfig, name: str, entry: EntryConfig) -> Iterator[Sweep]:
    """A grid in every cell of the proxies, or for `nearest_cell` only at the longest horizon of each proxy.

    Of these only the cell of the last proxy is certain: the others are searched if that one gives no answer.
    """
    assert isinstance(entry.settings, GridSettings | PublishedSettings)
    copied, last = entry.paradigm == "nearest_cell", config.rungs.proxies[-1].name
    for rung in config.rungs.proxies:
        horizons = (max(rung.horizons),) if copied else rung.horizons
        maybe = copied and rung.name != last
        runs: Lrs = [*[(None, maybe)] * GRID, *[(None, True)] * GRID_MORE]
        yield Sweep(name, "search", rung, label_of(entry.searched), runs, entry.settings.seeds[:1], horizons)


def _proxy(config: RegretConfig, entry: EntryConfig) -> Rung:
    return config.rungs.rung(getattr(entry.settings, "proxy", None) or config.base_rung_of(label_of(entry.arm)))


_Plan = Callable[[RegretConfig, str, EntryConfig], Iterator[Sweep]]
_PLANS: dict[type, _Plan] = {
    FittingSettings: _fitting,
    MuTransferSettings: _mutransfer,
    PublishedSettings: _published,
    TuningSettings: _tuning,
    GridSettings: _grid,
}
