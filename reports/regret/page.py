"""The report: one self-contained HTML page made from results."""

import json
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from lrladder.benchmark.studies.regret.results import RegretResults, RoleEffect
from lrladder.benchmark.studies.results import SIMULATED
from lrladder.paradigms.published import FITTING_D, FITTING_N
from lrladder.reports.drawing import colors_of, css_class, label_colors
from lrladder.reports.html import TEMPLATES, data_uri, environment, to_csv, write_page
from lrladder.reports.regret import analysis, bowls, figures, health, health_figures, module_figures, sentences

SECTIONS = (
    ("conclusion", "Conclusion"),
    ("curves", "Curves"),
    ("fitting", "Fitting"),
    ("transfer", "Transfer"),
    ("schedules", "Schedules"),
    ("stability", "Stability"),
    ("features", "Features"),
    ("modules", "Modules"),
    ("cost", "Cost"),
    ("trial-list", "Trials"),
    ("reproduce", "Reproduce"),
)
PUBLISHED_LAW = {"u": -FITTING_N, "v": -FITTING_D, "source": "arXiv 2601.05049"}
ORACLE_STATUS = {
    "interior": "minimum bracketed",
    "bracketed": "between worse LRs, but no parabola fits: the lowest run stands for the minimum",
    "edge": "edge of grid: the best LR may lie outside",
    "flat": "flat: no minimum resolved",
    "few": "too few finished LRs to fit",
}


def render(results: RegretResults) -> str:
    """The whole page as text; the same results give the same bytes."""
    trials = analysis.measurements(results).astype(object).to_dict("records")
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            results=results,
            sections=SECTIONS,
            figures=_figures(results),
            sentences=_sentences(results),
            data=_data(results),
            costs=analysis.costs(results).to_dict("records"),
            trials=trials,
            choices={key: sorted({str(t[key]) for t in trials}) for key in ("rung", "paradigm", "verdict")},
            own=list(zip(results.targets, health.at_own_lr(results), strict=True)),
            metrics=health.STABILITY,
            sensitivities=health.sensitivities(results),
            balances=health.balances(results),
            schedules=_schedules(results),
            config=_pretty(results.config),
            corpus=_pretty(results.corpus),
            published=PUBLISHED_LAW,
            trained_on=sentences.trained_on(results),
            simulated=SIMULATED if results.lab == "simulated" else None,
            oracle_status=ORACLE_STATUS,
            classes=_classes(results),
            script=Markup(script),
        )
    )


def _figures(results: RegretResults) -> dict[str, Markup | None]:
    """Each drawn as SVG; None where there is nothing to show."""
    drawn = {
        "bowls": bowls.loss_against_lr(results),
        "law": figures.law_with_points(results),
        "transfer": figures.best_lr_over_size(results),
        "cost": figures.regret_against_cost(results),
        "stability": health_figures.stability(results),
        "depth": health_figures.by_depth_and_role(results),
        "features": health_figures.features(results),
        "modules": module_figures.role_effects(results),
    }
    return {name: Markup(svg) if svg else None for name, svg in drawn.items()}  # our own drawing


def _sentences(results: RegretResults) -> dict[str, object]:
    """One sentence for each figure, or several for a section."""
    return {
        "cost": sentences.cost(results),
        "curves": sentences.curves(results),
        "law": sentences.law(results),
        "transfer": sentences.transfer(results),
        "schedules": list(sentences.schedules(results)),
        "stability": sentences.stability(results),
        "boundary": sentences.boundary(results),
        "balance": sentences.balance(results),
        "features": sentences.features(results),
        "modules": list(sentences.modules(results)),
        "ablation": sentences.ablation(results),
    }


def _classes(results: RegretResults) -> dict[str, str]:
    """What colours the name of an entry, and of a parametrization with its schedule."""
    return {name: css_class(color) for name, color in {**label_colors(results), **colors_of(results)}.items()}


def _schedules(results: RegretResults) -> dict[str, str]:
    """In words, by paradigm, at the last target."""
    last = results.targets[-1].paradigms if results.targets else ()
    return {p.name: p.recipe.schedule for p in last if p.recipe and p.recipe.schedule}


def write(results: RegretResults, folder: Path) -> Path:
    """Write the report of a study to folder/index.html."""
    return write_page(render(results), folder)


def _data(results: RegretResults) -> dict[str, dict[str, str]]:
    """What each figure shows, as a CSV to download."""
    effects = [effect.model_dump() for effect in results.role_effects]
    frames = {
        "measurements": analysis.measurements(results),
        "comparison": analysis.paradigms(results),
        "cost": analysis.costs(results),
        "optima": analysis.optima(results),
        "drift": analysis.drift(results),
        "stability": health.swept(results, health.STABILITY),
        "features": health.feature_rows(results),
        "own": health.all_rows(results),
        "modules": pd.DataFrame(effects, columns=list(RoleEffect.model_fields)),
    }
    return {name: {"name": f"{name}.csv", "uri": data_uri(to_csv(frame))} for name, frame in frames.items()}


def _pretty(data: dict[str, object]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
