"""The figure of training loss against tokens, as inline SVG: the loss itself, and its difference to one entry's."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports.drawing import MUTED, colors_of, markers_of, style, to_svg
from lrladder.reports.formats import short, signed
from lrladder.reports.kept import kept
from lrladder.reports.lines import mean_lines
from lrladder.reports.panels import panel_grid, panel_title
from lrladder.reports.regret.answer import chosen

MOST_BANDS = 4  # entries that are drawn with bands over seeds; with more the bands hide each other
EARLY = 0.1  # share of the tokens that is left out at the start, because losses fall too steeply there


@kept
def rows(results: RegretResults) -> pd.DataFrame:
    """A row per run and point with its loss, and `difference`, the loss minus that of the reference with the same seed.

    Runs of one seed train on the same batches in the same order, so the noise of a batch cancels in the difference.
    """
    found = [
        (c.rung, c.entry, c.seed, tokens, loss)
        for c in results.learning_curves
        for tokens, loss in zip(c.tokens, c.losses, strict=True)
    ]
    frame = pd.DataFrame(found, columns=["rung", "entry", "seed", "tokens", "loss"])
    base = frame[frame["entry"] == frame["rung"].map(references(results))]
    keys = ["rung", "seed", "tokens"]
    merged = frame.merge(base[[*keys, "loss"]], on=keys, how="left", suffixes=("", "_reference"))
    merged["difference"] = merged["loss"] - merged["loss_reference"]
    return merged.drop(columns="loss_reference")


def references(results: RegretResults) -> dict[str, str]:
    """The entry that the first screen names at each rung's longest horizon; others are compared with it."""
    found = {}
    for target in sorted(results.targets, key=lambda t: t.tokens):
        entry = chosen(target)
        if entry is not None:
            found[target.rung] = entry.name
    return found


def losses_over_tokens(results: RegretResults) -> str | None:
    """The figure as SVG, with a row per target; None if no training losses are known."""
    frame = rows(results)
    frame = frame[(frame["tokens"] > 0) & frame["entry"].isin(colors_of(results))]  # without those not scored yet
    rungs = [r for r in references(results) if frame.loc[frame["rung"] == r, "tokens"].nunique() > 1]
    if not rungs:
        return None
    with style():
        figure, panels = panel_grid(
            2 * len(rungs), columns=2, row=2.3, wspace=0.14, hspace=0.35, xlabel="training tokens", ylabel=""
        )
        for row, rung in zip(zip(panels[::2], panels[1::2], strict=True), rungs, strict=True):
            _row(row, frame[frame["rung"] == rung], rung, results)
        return to_svg(figure, "learning", "Training loss against tokens, by entry", _legend(results, frame))


def _row(row: Sequence[Axes], here: pd.DataFrame, rung: str, results: RegretResults) -> None:
    late = here[here["tokens"] >= EARLY * here["tokens"].max()]
    apart = late[late["difference"].notna()].assign(difference=1e3 * late["difference"])
    look: dict[str, Any] = {
        "x": "tokens",
        "of": "entry",
        "markersize": 4,
        "bands": here["entry"].nunique() <= MOST_BANDS,
    }
    look |= {"colors": colors_of(results), "markers": markers_of(results)}
    mean_lines(row[1], late, y="loss", **look)
    mean_lines(row[0], apart, y="difference", **look)
    row[0].axhline(0, color=MUTED, lw=0.9, zorder=1)
    name = references(results)[rung]
    panel_title(row[0], f"{rung}, minus {name}'s")
    panel_title(row[1], rung)
    row[0].set_ylabel("difference (millinats/token)")
    row[1].set_ylabel("training loss (nats/token)")
    for axes in row:
        axes.set_xlabel("")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.yaxis.set_major_locator(MaxNLocator(5))


def _legend(results: RegretResults, frame: pd.DataFrame) -> list[Line2D]:
    colors = colors_of(results)
    return [
        Line2D([], [], lw=1.1, marker=markers_of(results)[name], ms=4, mew=0, color=colors[name], label=name)
        for name in dict.fromkeys(frame["entry"])
        if name in colors
    ]


def sentence(results: RegretResults) -> str:
    """How far the curves are apart over the second half of training at the largest target, in words."""
    frame = rows(results)
    if frame.empty:
        return ""
    recorded = set(frame["rung"].unique())
    rung = next(r.name for r in reversed(results.rungs) if r.name in recorded)
    here = frame[(frame["rung"] == rung) & (frame["tokens"] > frame["tokens"].max() / 2) & frame["difference"].notna()]
    own = references(results).get(rung)
    parts = []
    for name in dict.fromkeys(here["entry"]):
        means = here[here["entry"] == name].groupby("seed")["difference"].mean()
        if name != own and len(means):
            parts.append(f"`{name}` {signed(1e3 * fmean(means), 1)}")
    if not parts or own is None:
        return ""
    return (
        f"Training loss minus that of `{own}` over the second half of training at {rung}: "
        f"{', '.join(parts)} millinats (means over n = {here['seed'].nunique()} seeds)."
    )
