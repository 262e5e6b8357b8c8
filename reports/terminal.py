"""Lines and numbers that all tables on the terminal share."""

from rich.console import Console

from lrladder.benchmark.studies.counts import TrialCounts


def show_counts(counts: TrialCounts, console: Console) -> None:
    """Print how many runs finished, diverged and failed."""
    console.print(
        f"{counts.finished} training runs finished, {counts.diverged} diverged, {counts.failed} failed; "
        f"{counts.trained_now} trained now"
    )


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """A number given in nats, written in millinats, with its interval if there is one."""
    if value is None:
        return "-"
    within = "" if low is None or high is None else f" [{1e3 * low:.1f}, {1e3 * high:.1f}]"
    return f"{1e3 * value:.1f}{within}"
