"""The figure of the effects of LR multipliers of single roles, as inline SVG."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrladder.benchmark.studies.regret.results import RegretResults, RoleEffect
from lrladder.reports.drawing import BLUE, MUTED, ORANGE, WIDTH, style, to_svg
from lrladder.reports.panels import panel_title


def shown_effects(results: RegretResults) -> list[RoleEffect]:
    """One effect for each rung, horizon, role and factor: that with the fewest other multipliers."""
    best: dict[tuple[str, int, str, float], RoleEffect] = {}
    for effect in sorted(results.role_effects, key=lambda e: len(e.others)):
        best.setdefault((effect.rung, effect.horizon, effect.role, effect.factor), effect)
    return list(best.values())


def role_effects(results: RegretResults) -> str | None:
    """Change of the loss by role as SVG, a column per rung; None without an effect."""
    effects = [effect for effect in shown_effects(results) if effect.change is not None]
    if not effects:
        return None
    order = {rung.name: i for i, rung in enumerate(results.rungs)}
    places = sorted({(e.rung, e.horizon) for e in effects}, key=lambda p: (order.get(p[0], 0), p[1]))
    roles = list(dict.fromkeys(e.role for e in effects))
    height = 1.2 + 0.42 * len(roles)
    with style():
        figure = Figure(figsize=(WIDTH, height))
        columns = figure.subplots(1, len(places), squeeze=False, sharey=True)[0]
        figure.subplots_adjust(0.1, 0.5 / height, 0.995, 1 - 0.3 / height, wspace=0.08)
        for axes, place in zip(columns, places, strict=True):
            for effect in effects:
                if (effect.rung, effect.horizon) == place:
                    _effect(axes, effect, roles.index(effect.role))
            axes.axvline(0, color=MUTED, lw=0.9, zorder=1)
            axes.set_yticks(range(len(roles)), [role.replace("_", " ") for role in roles])
            panel_title(axes, place[0])
        columns[0].set_ylim(len(roles) - 0.5, -0.5)
        figure.supxlabel("change of the loss, millinats", fontsize=8.5, y=0.06 / height)
        handles = [
            Line2D([], [], marker=marker, ls="", ms=5, color=color, label=label)
            for marker, color, label in (("^", ORANGE, "higher LR of this role"), ("v", BLUE, "lower LR of this role"))
        ]
        return to_svg(figure, "modules", "Change of the loss by role, one column per rung", handles)


def _effect(axes: Any, effect: RoleEffect, line: int) -> None:
    up = effect.factor > 1
    assert effect.change is not None
    bars = None
    if effect.low is not None and effect.high is not None:
        bars = [[1e3 * (effect.change - effect.low)], [1e3 * (effect.high - effect.change)]]
    look: dict[str, Any] = {"color": ORANGE if up else BLUE, "ms": 5, "elinewidth": 1.0, "capsize": 2}
    axes.errorbar([1e3 * effect.change], [line + (-0.14 if up else 0.14)], xerr=bars, fmt="^" if up else "v", **look)
