"""The page of a coordinate check: figures, slopes with intervals and outcomes, and a sentence about each role."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup

from lrladder.benchmark.checks.coordcheck import FACTORS, KINDS, LENGTH, SEQUENCES, Arm, Check, Result
from lrladder.models.coordcheck import BAND, INIT_SLOPE, READOUTS, Axis
from lrladder.reports.coordcheck.figures import coordinates, log2
from lrladder.reports.downloads import download
from lrladder.reports.formats import fixed
from lrladder.reports.html import environment, write_page

COLUMNS = ("parametrization", "axis", "factor", "seed", "step", "role", "quantity", "rms", "mean_abs")  # downloaded


class Line(NamedTuple):
    """One role along one axis: the checks of our rules by step, and the last one of standard parametrization."""

    role: str
    checks: dict[int, Check]
    standard: Check | None
    sentence: str

    @property
    def outcome(self) -> str:
        """fail if any of our checks fails, else pass."""
        return "fail" if any(check.outcome == "fail" for check in self.checks.values()) else "pass"


def render(result: Result) -> str:
    """The whole page as text; the same result gives the same bytes."""
    frame = to_frame(result)
    axes = list(dict.fromkeys(check.axis for check in result.ours.checks))
    return (
        environment()
        .get_template("coordcheck.html.j2")
        .render(
            result=result,
            axes=axes,
            lines={axis: lines(result, axis) for axis in axes},
            figures={
                axis: {quantity: Markup(coordinates(frame, axis, quantity)) for quantity in ("update", "size")}
                for axis in axes
            },
            probe={"sequences": SEQUENCES, "length": LENGTH, "kinds": KINDS, "factors": FACTORS, "band": BAND},
            downloads=[
                download("coordinates.csv", frame[list(COLUMNS)]),
                download("slopes.csv", _checks_frame(result)),
            ],
        )
    )


def write(result: Result, folder: Path) -> Path:
    """Write folder/index.html."""
    return write_page(render(result), folder)


def to_frame(result: Result) -> pd.DataFrame:
    """A table with a row per coordinate of each model. An axis on which both parametrizations agree is in it once."""
    arms = {"ours": result.ours, "standard": result.standard}
    return pd.DataFrame(
        {
            "parametrization": name,
            "axis": row.axis,
            "factor": row.factor,
            "seed": row.seed,
            **row.coordinate._asdict(),
            "rms": float(f"{row.coordinate.rms:.6g}"),  # more digits would only make the page heavier
            "mean_abs": float(f"{row.coordinate.mean_abs:.6g}"),
            "log2_factor": log2(row.factor),
            "log2_rms": log2(row.coordinate.rms),
        }
        for name, arm in arms.items()
        for row in arm.rows
        if name == "ours" or row.axis not in result.same
    )


def _checks_frame(result: Result) -> pd.DataFrame:
    arms = {"ours": result.ours, "standard": result.standard}
    return pd.DataFrame(
        {"parametrization": name, **check._asdict()} for name, arm in arms.items() for check in arm.checks
    )


def lines(result: Result, axis: Axis) -> list[Line]:
    """The table of one axis."""
    ours, standard = _by_role(result.ours, axis), _by_role(result.standard, axis)
    return [
        Line(role, checks, None if axis in result.same else standard[role].get(result.steps), sentence(checks))
        for role, checks in ours.items()
    ]


def _by_role(arm: Arm, axis: Axis) -> dict[str, dict[int, Check]]:
    found: dict[str, dict[int, Check]] = {}
    for check in arm.checks:
        if check.axis == axis:
            found.setdefault(check.role, {})[check.step] = check
    return found


def sentence(checks: dict[int, Check]) -> str:
    """One sentence on one role along one axis."""
    failed = [check for check in checks.values() if check.outcome == "fail"]
    if failed:
        return _failure(failed)
    notes = [check.note for check in checks.values() if check.note]
    if notes:
        return f"{notes[0][0].upper()}{notes[0][1:]}."
    worst = max(checks.values(), key=lambda check: abs(check.slope))
    sure = all(check.low >= -BAND and check.high <= BAND for check in checks.values())
    level = f"It is level: no slope is beyond ±{fixed(abs(worst.slope))}"
    return f"{level}." if sure else f"{level}, but an interval reaches beyond ±{BAND:g}."


def _failure(failed: Sequence[Check]) -> str:
    worst = max(failed, key=lambda check: abs(check.slope))
    if worst.slope != worst.slope:
        return f"At some size it is zero or not finite, from step {worst.step} on."
    size = worst.axis.replace("_", " ")
    if worst.step == 0 and (worst.axis, worst.role) in READOUTS:
        said = f"At the start it goes like {size} to the power {fixed(worst.slope)}"
        return f"{said}. The rule for the initialization gives {fixed(INIT_SLOPE)}, so the rule is not followed."
    verb = "grows" if worst.slope > 0 else "shrinks"
    return f"It {verb} like {size} to the power {fixed(worst.slope)} at step {worst.step}: the rule does not hold."
