"""Draws the LR of a schedule against tokens, as an SVG file."""

from pathlib import Path

from matplotlib.figure import Figure

from lrladder.benchmark.checks.schedule_points import Curve
from lrladder.benchmark.folders import require_new_or_own, write_result
from lrladder.reports.drawing import BLUE, style, to_svg
from lrladder.reports.formats import short

LABEL = "Learning rate against tokens, "


def require_own(path: Path) -> None:
    """Raise InputError unless `path` is a new file or an earlier drawing of ours."""
    head = f'<svg role="img" aria-label="{LABEL}'.encode()
    require_new_or_own(path, "--out", lambda there: head in there)


def write(curve: Curve, path: Path) -> None:
    """Write the drawing to a file. Raises InputError if the system refuses."""
    write_result(path, figure(curve), "--out")


def figure(curve: Curve) -> str:
    """LR against tokens as the text of an SVG file."""
    with style():
        drawn = Figure(figsize=(7.0, 3.0))
        axes = drawn.subplots()
        drawn.subplots_adjust(0.12, 0.18, 0.98, 0.95)
        axes.plot([point.tokens for point in curve.points], [point.lr for point in curve.points], color=BLUE, lw=1.4)
        axes.set(xlabel="tokens", ylabel="learning rate", ylim=(0, None))
        axes.xaxis.set_major_formatter(lambda tokens, _: short(tokens))
        return to_svg(drawn, "schedule", LABEL + curve.schedule.kind)
