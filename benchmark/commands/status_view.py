"""Shows the progress of a study on the terminal, once or live."""

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lrladder.benchmark.studies.watcher import Snapshot, Watcher
from lrladder.benchmark.tables import WordTable

EVERY = 2.0  # seconds


def watch(
    watcher: Watcher,
    console: Console,
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> None:
    """Show the study until it has ended, or until Ctrl-C, which does not affect the study."""
    with Live(console=console, auto_refresh=False) as screen:
        try:
            while True:
                now = watcher.look()
                screen.update(view(now, clock()), refresh=True)
                if now.ended:
                    return
                pause(EVERY)
        except KeyboardInterrupt:
            return


def view(now: Snapshot, time_of_day: float) -> Group:
    """The numbers of trials, the running trials, and the best LRs so far."""
    parts: list[Text | WordTable] = [Text(f"{now.preset}: {_counts(now)}"), Text(state(now, time_of_day))]
    parts += map(Text, now.differences)
    if now.running:
        parts.append(_running(now))
    if now.best:
        parts.append(_best(now))
    return Group(*parts)


def state(now: Snapshot, time_of_day: float) -> str:
    """Whether the study is running, in words."""
    if now.started is not None:
        minutes, seconds = divmod(max(0, round(time_of_day - now.started)), 60)
        return f"running for {minutes} min {seconds:02d} s" + ("" if now.planned else ", preparing the corpus")
    if now.complete:
        return "complete"
    if now.ended:
        return "not running; still missing: " + ("; ".join(now.missing) or "unknown")
    return "not running; the same `lrladder run` continues the study"


def _counts(now: Snapshot) -> str:
    planned = f"{now.planned} planned, {now.at_most} at most; " if now.planned else ""
    return f"{planned}{now.finished} finished, {now.diverged} diverged, {now.failed} failed, {len(now.running)} running"


def _running(now: Snapshot) -> WordTable:
    table = WordTable("running now", ("trial", "LR", "seed", "step", "tokens", "of", "loss, nats"), left=1)
    for one in now.running:
        logged = ("-", "-") if one.step is None else (f"{one.step:,}", f"{one.tokens or 0:,}")
        loss = "-" if one.loss is None else f"{one.loss:.4f}"
        table.add_row(one.label, f"{one.lr:.4g}", f"{one.seed}", *logged, f"{one.of_tokens:,}", loss)
    return table


def _best(now: Snapshot) -> WordTable:
    columns = ("model", "rules", "tokens", "LR", "loss, nats", "LRs tried", "seeds", "")
    title = "best LR measured so far (edge: at the end of its sweep; no decay: of runs that were read before any)"
    table = WordTable(title, columns, left=2)
    for one in now.best:
        numbers = (f"{one.horizon:,}", f"{one.lr:.4g}", f"{one.loss:.4f}", f"{one.n_lrs}", f"{one.n_seeds}")
        marks = ", ".join((*(["edge"] if one.edge else []), *(["no decay"] if one.undecayed else [])))
        table.add_row(one.rung, one.parametrization, *numbers, marks)
    return table
