"""The conclusion of a study of schedules: what one LR setting costs, and which schedule has the lower loss."""

from collections.abc import Iterator, Sequence

from lrladder.benchmark.studies.schedules.results import Against, SchedulesResults, Scope, Setting
from lrladder.reports.formats import lr, millinats, millinats_within
from lrladder.reports.schedules.figures import NAMES

MOVED: dict[Scope, str] = {
    "base batch": "tokens and model size change",
    "other batches": "the batch changes too",
}


def conclusion(results: SchedulesResults, family: str) -> Iterator[str]:
    """The sentences for one family of models, with n, unit and 90% interval of each number."""
    settings = [setting for setting in results.settings if setting.family == family]
    yield from _chosen(settings)
    for scope, moved in MOVED.items():
        yield from _costs([s for s in settings if s.scope == scope], moved)
    rows = [row for row in results.against_wsd if row.family == family]
    yield from _against([row for row in rows if row.tuned], "With the LR tuned in every cell")
    yield from _against([row for row in rows if not row.tuned], "With the one LR of each schedule")


def _chosen(settings: Sequence[Setting]) -> Iterator[str]:
    lrs = {NAMES[s.schedule]: s.lr for s in settings}
    found = [f"{lr(value)} for {name}" for name, value in lrs.items() if value is not None]
    if found:
        yield f"The one LR, tuned at the smallest cell, is {_joined(found)}."
    for name in (name for name, value in lrs.items() if value is None):
        yield f"{name} has no one LR, because the sweep of the smallest cell does not bracket its best LR."


def _costs(settings: Sequence[Setting], moved: str) -> Iterator[str]:
    parts = [
        f"{millinats_within(s.mean_regret, s.mean_low, s.mean_high)} millinats under {NAMES[s.schedule]} "
        f"(n = {s.n_cells} cells; {millinats(s.worst_regret)} in the worst)"
        for s in settings
        if s.mean_regret is not None
    ]
    if parts:
        yield f"Where {moved}, keeping the one LR costs on average {_joined(parts)}."
    untold = [f"{s.n_untold} cells under {NAMES[s.schedule]}" for s in settings if s.lr is not None and s.n_untold]
    if untold:
        yield f"Where {moved}, the cost is not known in {_joined(untold)}: the sweep is open or ends before the one LR."


def _against(rows: Sequence[Against], how: str) -> Iterator[str]:
    parts = [
        f"{millinats_within(abs(row.mean), *_turned(row))} millinats {'above' if row.mean > 0 else 'below'} "
        f"WSD's under {NAMES[row.schedule]} (n = {row.n_cells} cells)"
        for row in rows
        if row.mean is not None
    ]
    if parts:
        yield f"{how}, the loss is on average {_joined(parts)}."


def _turned(row: Against) -> tuple[float | None, float | None]:
    """The interval of the difference, as seen from the side that the sentence names."""
    if row.mean is None or row.mean > 0 or row.low is None or row.high is None:
        return row.low, row.high
    return -row.high, -row.low


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
