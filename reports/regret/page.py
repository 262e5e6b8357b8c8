"""The report of a regret study: one HTML page that needs no other file."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from lrladder.benchmark.lab.loggers.places import link
from lrladder.benchmark.studies.regret.results import RegretResults, RoleEffect
from lrladder.benchmark.studies.results import SIMULATED
from lrladder.paradigms.published import FITTING_D, FITTING_N
from lrladder.reports.downloads import Download
from lrladder.reports.drawing import colors_of, css_class, label_colors
from lrladder.reports.html import TEMPLATES, environment, figures, write_page
from lrladder.reports.regret import (
    analysis,
    balance_figure,
    bowls,
    frontier,
    health,
    health_figures,
    law_figure,
    learning_figure,
    module_figures,
    overlay,
    sentences,
    size_figure,
    transfer_figure,
)
from lrladder.reports.regret.answer import answers
from lrladder.reports.regret.baselines import baselines
from lrladder.reports.regret.few import few
from lrladder.reports.regret.few import sentence as few_sentence
from lrladder.reports.regret.goals import UNSCORED, kind_lrs
from lrladder.reports.regret.meanings import meanings
from lrladder.reports.regret.sensitivity import sensitivities
from lrladder.reports.regret.signs import STABILITY

SECTIONS = (
    ("conclusion", "What to set"),
    ("scores", "Scores"),
    ("losses", "Losses"),
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
    "interior": "minimum bracketed: it lies inside the sweep",
    "bracketed": "between worse LRs, but no parabola fits: the lowest run stands for the minimum",
    "edge": "the lowest loss is at the edge of the sweep, so the best LR may lie outside",
    "flat": "the losses are too flat to tell a minimum",
    "few": "too few LRs finished to fit a minimum",
}


def render(results: RegretResults) -> str:
    """The whole page as text; the same results give the same bytes."""
    return _render(results, _data(results))


def _render(results: RegretResults, data: Mapping[str, Download]) -> str:
    figures_, sentences_ = _figures(results), _sentences(results)
    sections = _sections(results, figures_, sentences_)
    trials = analysis.measurements(few(results)).astype(object).to_dict("records")
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            results=results,
            answers=answers(results),
            meanings=meanings(results),
            baselines={(t.rung, t.tokens): baselines(results, t) for t in results.targets},
            proposal_seeds=" to ".join(str(n) for n in _proposal_seeds(results)),
            hours=results.payer_seconds,
            searched={e.name: sum(c.n for c in e.curves) for e in results.entries},
            fitted={(c.rung, c.horizon, c.parametrization): c.n for c in results.curves},
            laws=analysis.laws(results),
            sections=sections,
            shown=dict(sections),
            figures=figures_,
            sentences=sentences_,
            data=data,
            costs=analysis.costs(results).to_dict("records"),
            trials=trials,
            logged=_logged(results),
            left_out=few_sentence(results),
            choices={key: sorted({str(t[key]) for t in trials}) for key in ("rung", "paradigm", "verdict")},
            **_stability(results),
            schedules=_schedules(results),
            config=_pretty(results.config),
            corpus=_pretty(results.corpus),
            published=PUBLISHED_LAW,
            trained_on=sentences.trained_on(results),
            elsewhere=sentences.trained_elsewhere(results),
            simulated=SIMULATED if results.lab == "simulated" else None,
            oracle_status=ORACLE_STATUS,
            classes=_classes(results),
            script=Markup((TEMPLATES / "report.js").read_text("utf-8")),
        )
    )


def _logged(results: RegretResults) -> dict[str, list[tuple[str, str]]]:
    """Names of trackers with what to link to, by the id of the trial. An address that is no plain link is left out."""
    return {
        trial: [(name, href) for name, address in sorted(places.items()) if (href := link(address)) is not None]
        for trial, places in results.logged.items()
    }


def _proposal_seeds(results: RegretResults) -> list[int]:
    """Least and most seeds of a proposal with a loss; one number where they are the same."""
    found = {p.n_seeds for target in results.targets for p in target.paradigms if p.loss is not None}
    return sorted({min(found), max(found)}) if found else []


def _stability(results: RegretResults) -> dict[str, object]:
    """The values for the section on stability, apart from its figures."""
    own = health.at_own_lr(results)
    return {
        "own": list(zip(results.targets, own, strict=True)),
        "differing": [health.differing(spreads) for spreads in own],
        "alike": [health.alike(spreads) for spreads in own],
        "metrics": STABILITY,
        "sensitivities": sensitivities(results),
        "balances": health.balances(results),
    }


def _sections(results: RegretResults, drawn: Mapping[str, object], said: Mapping[str, object]) -> list[tuple[str, str]]:
    """(name, title) of the sections that have something to show. The page and its bar leave the others out."""
    empty = {
        "scores": not results.targets,
        "losses": not (drawn["size"] or drawn["learning"]),
        "curves": not drawn["bowls"],
        "fitting": not (analysis.laws(results) and drawn["law"]),
        "transfer": not drawn["transfer"],
        "schedules": not said["schedules"] and not _schedules(results),
        "stability": not (drawn["stability"] or drawn["depth"] or said["boundary"] or health.balances(results)),
        "features": not drawn["features"],
        "modules": not said["modules"] and not drawn["modules"],
        "cost": not results.payers,
        "trial-list": not results.measurements,
    }
    return [(name, title) for name, title in SECTIONS if not empty.get(name)]


def _figures(results: RegretResults) -> dict[str, Markup | None]:
    """Every figure as SVG. A figure with nothing to show is None."""
    drawn = {
        "bowls": bowls.loss_against_lr(results),
        "overlay": overlay.curves_of_all_rungs(results),
        "size": size_figure.loss_over_size(results),
        "learning": learning_figure.losses_over_tokens(results),
        "law": law_figure.law_with_points(results),
        "transfer": transfer_figure.best_lr_over_size(results),
        "cost": frontier.regret_against_cost(results),
        "stability": health_figures.stability(results),
        "depth": health_figures.by_depth_and_role(results),
        "balance": balance_figure.loads_by_rung(results),
        "features": health_figures.features(results),
        "modules": module_figures.role_effects(results),
    }
    return figures(drawn)


def _sentences(results: RegretResults) -> dict[str, object]:
    """The sentences of the page, by figure or section."""
    return {
        "cost": sentences.cost(results),
        "curves": sentences.curves(results),
        "learning": learning_figure.sentence(results),
        "law": sentences.law(results),
        "transfer": sentences.transfer(results),
        "schedules": list(sentences.schedules(results)),
        "stability": sentences.stability(results),
        "boundary": sentences.boundary(results),
        "quiet": sentences.quiet(results),
        "balance": sentences.balance(results),
        "features": sentences.features(results),
        "modules": list(sentences.modules(results)),
        "ablation": sentences.ablation(results),
        "goals_alone": UNSCORED,
        "goal_lrs": [[kind_lrs(answer) for answer in goal.answers] for goal in results.goals],
    }


def _classes(results: RegretResults) -> dict[str, str]:
    """The CSS class that colours the name of each entry and the label of each arm."""
    return {name: css_class(color) for name, color in {**label_colors(results), **colors_of(results)}.items()}


def _schedules(results: RegretResults) -> dict[str, list[str]]:
    """The names of the entries under each schedule. The schedules are in words, from the recipes at the last target."""
    found: dict[str, list[str]] = {}
    for p in results.targets[-1].paradigms if results.targets else ():
        if p.recipe and p.recipe.schedule:
            found.setdefault(p.recipe.schedule, []).append(p.name)
    return found


def write(results: RegretResults, folder: Path) -> Path:
    """Write the report of a study to folder/index.html."""
    data = _data(results)
    return write_page(_render(results, data), folder, data.values())


def _data(results: RegretResults) -> dict[str, Download]:
    """The data of each figure, as a CSV file that the page offers for download."""
    effects = pd.DataFrame([e.model_dump() for e in results.role_effects], columns=list(RoleEffect.model_fields))
    frames = {
        "measurements": analysis.measurements(results),
        "comparison": analysis.paradigms(results),
        "frontier": frontier.rows(results),
        "learning": learning_figure.rows(results),
        "cost": analysis.costs(results),
        "optima": analysis.optima(results),
        "drift": analysis.drift(results),
        "features": health.feature_rows(results),
        "balance": balance_figure.rows(results),
        "modules": effects,
    }
    return {
        **{name: Download.of(f"{name}.csv", frame) for name, frame in frames.items()},
        "stability": Download.of_runs("stability.csv", health.SWEPT, partial(health.swept_runs, results, STABILITY)),
        "own": Download.of_runs("own.csv", health.OWN, partial(health.all_runs, results)),
    }


def _pretty(data: dict[str, object]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
