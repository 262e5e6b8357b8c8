"""A schedule, drawn."""

from matplotlib.figure import Figure

from lrladder.benchmark.checks.schedule_points import Curve
from lrladder.reports.drawing import BLUE, style, to_svg
from lrladder.reports.formats import short

LABEL = "Learning rate against tokens, "


def is_own(head: bytes) -> bool:
    """Whether a file that begins so was drawn here."""
    return f'<svg role="img" aria-label="{LABEL}'.encode() in head


def figure(curve: Curve) -> str:
    """LR against tokens as an SVG file."""
    with style():
        drawn = Figure(figsize=(7.0, 3.0))
        axes = drawn.subplots()
        drawn.subplots_adjust(0.12, 0.18, 0.98, 0.95)
        axes.plot([point.tokens for point in curve.points], [point.lr for point in curve.points], color=BLUE, lw=1.4)
        axes.set(xlabel="tokens", ylabel="learning rate", ylim=(0, None))
        axes.xaxis.set_major_formatter(lambda tokens, _: short(tokens))
        return to_svg(drawn, "schedule", LABEL + curve.schedule.kind)
