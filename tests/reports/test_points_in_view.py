"""No figure of any report loses a point: what is drawn lies inside its axes, read from matplotlib's own artists."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lrladder.benchmark.checks.coordcheck import check
from lrladder.benchmark.checks.schedule_points import draw
from lrladder.benchmark.own_runs.fit_file import fit_file
from lrladder.benchmark.studies.drift.kind import DRIFT
from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.regret.results import RegretResults, RoleEffect
from lrladder.benchmark.studies.runner import run_on
from lrladder.benchmark.studies.schedules.kind import SCHEDULES
from lrladder.benchmark.studies.stored import load_results
from lrladder.reports import schedule_figure
from lrladder.reports.compare import page as compare
from lrladder.reports.compare.side_by_side import Comparison, Study
from lrladder.reports.coordcheck import page as coordcheck
from lrladder.reports.drift import page as drift
from lrladder.reports.fit import page as fit
from lrladder.reports.recipe import page as recipe
from lrladder.reports.regret import page as regret
from lrladder.reports.schedules import page as schedules
from tests.benchmark.studies.drift.test_decay import exponents, study
from tests.benchmark.studies.recipe.bowl import BowlLab, tuning
from tests.paths import ROOT
from tests.reports.regret.studies import simulated
from tests.reports.synthetic import build_results, diverged_results, many_results, single_results, watched_results

FIXTURES = ROOT / "tests" / "fixtures"
TOLERANCE = 0.5  # pixels: what rounding does to a point on the edge


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is drawn from now on, as it is saved."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        kept.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def drawn(axes: Axes) -> Iterator[NDArray[np.float64]]:
    """Pixels of the points of lines, scatters and error bars."""
    for line in axes.lines:
        yield line.get_transform().transform(np.column_stack(line.get_data()).astype(float))
    for collection in axes.collections:
        if isinstance(collection, PathCollection):
            yield collection.get_offset_transform().transform(np.asarray(collection.get_offsets(), dtype=float))
        elif isinstance(collection, LineCollection):
            yield from (collection.get_transform().transform(segment) for segment in collection.get_segments())


def outside(figure: Figure) -> list[tuple[str, float, float]]:
    """Title of the axes and pixels of each point that is out of view."""
    found = []
    for axes in figure.axes:
        box = axes.get_window_extent()
        for points in drawn(axes) if axes.get_visible() else ():
            known = points[np.isfinite(points).all(axis=1)]
            low, high = np.array([box.x0, box.y0]) - TOLERANCE, np.array([box.x1, box.y1]) + TOLERANCE
            lost = known[((known < low) | (known > high)).any(axis=1)]
            found += [(axes.get_title("left"), float(x), float(y)) for x, y in lost]
    return found


def seen(figures: list[Figure]) -> None:
    assert figures
    assert [lost for figure in figures for lost in outside(figure)] == []


def tuned_results() -> RegretResults:
    """With the effect of a multiplier of one role, up and down."""
    known = {"rung": "t96x3", "horizon": 262144, "role": "router", "others": (), "low": -0.05, "high": 0.01}
    effects = ({**known, "factor": factor, "change": change} for factor, change in ((2.0, -0.02), (0.5, -0.01)))
    return build_results(role_effects=tuple(RoleEffect.model_validate({**e, "n_seeds": 2}) for e in effects))


@pytest.mark.parametrize(
    "make",
    [build_results, watched_results, diverged_results, single_results, many_results, tuned_results, simulated],
)
def test_of_a_benchmark(make: Any, figures: list[Figure]) -> None:
    regret.render(make())
    seen(figures)


def test_of_a_benchmark_whose_curves_leave_the_panel(figures: list[Figure]) -> None:
    """A fitted minimum below every run, an interval wider than the sweep, and losses far above the best."""
    results = build_results()
    low = tuple(
        curve.model_copy(update={"minimum": (curve.minimum or 0) - 0.3, "lr_low": 1e-9, "lr_high": 1e3})
        for curve in results.curves
    )
    runs = tuple(
        m.model_copy(update={"loss": m.loss + 5}) if m.seed == 1 and m.loss else m for m in results.measurements
    )
    regret.render(build_results(curves=low, measurements=runs))
    seen(figures)


def test_of_a_comparison(figures: list[Figure]) -> None:
    compare.render(Comparison((Study("a", build_results()), Study("b", single_results())), ()))
    seen(figures)


def test_of_a_drift_study(figures: list[Figure]) -> None:
    drift.render(load_results(FIXTURES / "axes_v1", DRIFT))
    seen(figures)


def test_of_a_drift_study_with_decays(figures: list[Figure], monkeypatch: pytest.MonkeyPatch) -> None:
    drift.render(study(monkeypatch, exponents(-0.15, 0.2)))
    seen(figures)


def test_of_a_study_of_schedules(figures: list[Figure]) -> None:
    schedules.render(load_results(FIXTURES / "power_v1", SCHEDULES))
    seen(figures)


def test_of_a_fit(tmp_path: Path, figures: list[Figure]) -> None:
    """Some losses are far above the best, where no parabola describes them."""
    rows = ["n_params,tokens,batch_tokens,lr,loss"]
    for n in (1e7, 4e7, 1.6e8):
        for tokens in (1e9, 4e9):
            best = 5 * n**-0.3 * tokens**-0.1
            rows += [
                f"{n:.0f},{tokens:.0f},65536,{best * 2**step:.6g},{3 + 0.03 * step**2 + 0.02 * abs(step) ** 3}"
                for step in range(-3, 7)
            ]
    (tmp_path / "runs.csv").write_text("\n".join(rows))
    fit.render(fit_file(tmp_path / "runs.csv", protocol="best"))
    seen(figures)


def test_of_a_coordinate_check(figures: list[Figure]) -> None:
    coordcheck.render(check(load_config("smoke"), steps=2, seeds=1))
    seen(figures)


def test_of_a_tuned_recipe(figures: list[Figure]) -> None:
    """One whose search was stopped, with a diverged value, and with a chosen one that was not measured."""
    config = tuning(budget=60)
    best, curvature = {"lr": 0.9}, {"lr": 0.03}
    lab = BowlLab(
        config, _by_ingredient(config, best, 0.4), _by_ingredient(config, curvature, 0.01), diverges={"lr": 2.2}
    )
    recipe.render(run_on(config, lab))
    seen(figures)


def _by_ingredient(config: TuningConfig, known: dict[str, float], other: float) -> dict[str, float]:
    return {name: known.get(name, other) for name in config.ingredients}


def test_of_a_schedule(figures: list[Figure]) -> None:
    schedule_figure.figure(draw("wsd", tokens=32768, batch_tokens=1024, lr=0.03, warmup_tokens=4096))
    seen(figures)


def test_every_kind_of_figure_is_among_these() -> None:
    """Each figure of a benchmark is drawn by one of the cases above, and each page that draws is rendered above."""
    drawn: set[str] = set()
    for results in (watched_results(), tuned_results(), simulated()):
        drawn |= {name for name, svg in regret._figures(results).items() if svg}
    assert drawn == set(regret._figures(build_results()))
    here = Path(__file__).read_text(encoding="utf-8")
    for path in sorted((ROOT / "reports").glob("*/*.py")):
        if "to_svg(" in path.read_text(encoding="utf-8"):
            assert f"{path.parent.name}.render(" in here, path
