"""The page of each kind of results, by the schema that their file begins with."""

from functools import partial
from pathlib import Path
from typing import Any

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_folder
from lrladder.benchmark.own_runs import fit_results, replay
from lrladder.benchmark.own_runs.fit_file import load_fit
from lrladder.benchmark.reading import understood
from lrladder.benchmark.studies.drift.kind import DRIFT
from lrladder.benchmark.studies.drift.older import with_decay
from lrladder.benchmark.studies.recipe.kind import TUNING
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.regret.older import with_next_runs
from lrladder.benchmark.studies.schedules.kind import SCHEDULES
from lrladder.benchmark.studies.stored import load_results, schema_of, stored_kind
from lrladder.reports.drift import page as drift
from lrladder.reports.drift import summary as drift_summary
from lrladder.reports.fit import page as fit
from lrladder.reports.fit import replay_table
from lrladder.reports.fit import summary as fit_summary
from lrladder.reports.recipe import page as recipe
from lrladder.reports.recipe import summary as recipe_summary
from lrladder.reports.regret import page as regret
from lrladder.reports.regret import summary as regret_summary
from lrladder.reports.results_page import Held, ResultsPage
from lrladder.reports.schedules import page as schedules
from lrladder.reports.schedules import summary as schedules_summary

FILES = ("results.json", "replay.json", "store.sqlite")  # a folder with one of these has results of ours
PAGES: dict[str, ResultsPage[Any]] = {
    REGRET.schema: ResultsPage(
        lambda folder: with_next_runs(load_results(folder, REGRET)),
        regret.write,
        regret_summary.held,
        regret_summary.show,
    ),
    DRIFT.schema: ResultsPage(
        lambda folder: with_decay(load_results(folder, DRIFT)), drift.write, drift_summary.held, drift_summary.show
    ),
    SCHEDULES.schema: ResultsPage(
        partial(load_results, kind=SCHEDULES), schedules.write, schedules_summary.held, schedules_summary.show
    ),
    TUNING.schema: ResultsPage(
        partial(load_results, kind=TUNING), recipe.write, recipe_summary.held, recipe_summary.show
    ),
    fit_results.SCHEMA: ResultsPage(load_fit, fit.write, fit_summary.held, fit_summary.show),
    replay.SCHEMA: ResultsPage(replay_table.load, None, replay_table.held, replay_table.render),
}


def page_of(folder: Path) -> ResultsPage[Any]:
    """The page for the results in a folder. Raises InputError if there are none, or of a schema that is not known."""
    if not any((folder / name).is_file() for name in FILES):
        raise InputError(
            f"{folder} holds no results; give a folder that `lrladder run`, `fit` or `replay` wrote with --out"
        )
    return PAGES[_schema(folder)]


def _schema(folder: Path) -> str:
    schema = schema_of(folder)
    if schema is None:
        only_replay = not (folder / "results.json").exists() and (folder / "replay.json").exists()
        return replay.SCHEMA if only_replay else stored_kind(folder).schema
    if schema not in PAGES:
        raise InputError(
            f"{folder / 'results.json'}: this lrladder cannot read schema {schema}; install the version that wrote it"
        )
    return schema


def held(folder: Path) -> Held:
    """The results in a folder in one line. Raises InputError if there are none, or they are damaged."""
    page = page_of(folder)
    with understood(folder):
        return page.held(page.load(folder))


def write_report(results: Any, folder: Path) -> Path:
    """Write the page of results into the folder `report` inside `folder`. Returns its path. Raises InputError."""
    write = PAGES[results.schema_].write
    assert write is not None, "only a replay has no page, and it is no results.json"
    return write(results, folder / "report")


def rewrite(folder: Path, out: Path | None = None) -> Path:
    """Write the report of a folder again from its stored results. Returns its path. Raises InputError.

    It goes to `out`, or else to the folder `report` inside.
    """
    page = page_of(folder)
    if page.write is None:
        raise InputError(f"{folder} holds a replay, which has no page; open its table replay.csv instead")
    place = out or folder / "report"
    try:
        make_folder(place)  # refuse before the work, not after
    except InputError as error:
        raise InputError(f"{error}; --out FOLDER writes the report elsewhere") if out is None else error from error
    with understood(folder):
        return page.write(page.load(folder), place)
