"""A study that has run, wholly or in part: its results as frames and words, and what it recommends."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrladder.benchmark.api.law import Law
from lrladder.benchmark.api.model import Goal, Model
from lrladder.benchmark.api.recommendation import Recommendation
from lrladder.benchmark.api.spoken import spoken
from lrladder.benchmark.api.study import Study
from lrladder.benchmark.api.view import Shown, view
from lrladder.benchmark.design.layout import whole_run
from lrladder.benchmark.errors import InputError, require_positive
from lrladder.benchmark.reading import understood
from lrladder.benchmark.recommend.study import advise
from lrladder.benchmark.recommend.wanted import Wanted
from lrladder.benchmark.studies.kinds import KINDS, kind_of
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.results import SIMULATED, StudyResults

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """The results of a study, in the folder `folder`. `results` is its results.json (docs/results.md)."""

    folder: Path
    results: StudyResults

    @property
    def complete(self) -> bool:
        """Whether the study has come to its end."""
        return self.results.complete

    @property
    def missing(self) -> tuple[str, ...]:
        """What is missing, in words; nothing if the study is complete."""
        return self.results.missing

    @property
    def page(self) -> Path | None:
        """The report; None if it was not written yet. `lrladder report` writes it again."""
        page = self.folder / "report" / "index.html"
        return page if page.is_file() else None

    @property
    def verdict(self) -> str:
        """What the study found: a line for each target, or one line for a study of another kind.

        The first line says so if the losses are simulated.
        """
        from lrladder.reports.pages import PAGES
        from lrladder.reports.regret.summary import conclusions

        with understood(self.folder):
            if not isinstance(self.results, RegretResults):
                return PAGES[self.results.schema_].held(self.results).line
            said = list(conclusions(self.results)) or ["no target has been scored"]
            return "\n".join([SIMULATED, *said] if self.results.lab == "simulated" else said)

    @cached_property
    def measurements(self) -> "pd.DataFrame":
        """A row for each run at each of its horizons; losses are in nats per token, of the validation text."""
        from lrladder.benchmark.api import frames

        with understood(self.folder):
            return frames.measurements(self.results)

    @cached_property
    @spoken
    def scores(self) -> "pd.DataFrame":
        """A row for each entry at each target. Raises InputError for a study that compares no entries."""
        from lrladder.benchmark.api import frames

        with understood(self.folder):
            return frames.scores(self._compared())

    @property
    @spoken
    def law(self) -> Law:
        """The law of the best LR that the study fitted. Raises InputError if it has none."""
        return Law.of(self._compared())

    @spoken
    def recommend(
        self,
        model: Model | str | None = None,
        goal: Goal | None = None,
        *,
        entry: str | None = None,
        force: bool = False,
    ) -> Recommendation:
        """The LR and the recipe for a model.

        `model` is your own, or the name of a model of the study; without it, the study's only goal is meant. `goal` is
        its run, rounded to whole steps and sequences; it may be left out for a model of the study. `entry` answers
        instead of the study's choice. `force` answers even where no interval was checked. Raises InputError.
        """
        with understood(self.folder):
            results = self._compared()
            if model is None and len({one.rung for one in results.goals}) != 1:
                known = ", ".join(rung.name for rung in results.rungs)
                told = f"give Model.from_hf(config), or the name of a model of the study: {known}"
                raise InputError(f"{self.folder}: model is missing, and the study has no single goal; {told}")
            return Recommendation(advise(results, _wanted(model, goal, entry, force)).fold())

    def _compared(self) -> RegretResults:
        if not isinstance(self.results, RegretResults):
            kind = next(name for name, kind in KINDS.items() if kind.schema == self.results.schema_)
            raise InputError(f"{self.folder} holds a study of kind {kind}, which compares no entries and names no LR")
        return self.results

    def _repr_html_(self) -> str:
        counts = self.results.trials
        lines = [
            *self.verdict.splitlines(),
            f"{counts.finished:,} runs finished, {counts.diverged:,} diverged, {counts.failed:,} failed",
            *(f"missing: {what}" for what in self.missing),
            f"folder {self.folder}; " + (f"report {self.page}" if self.page else "no report yet"),
        ]
        is_scored = isinstance(self.results, RegretResults) and self.results.targets
        return view(f"Study {self.results.preset}", lines, [Shown("scores", self.scores)] if is_scored else [])


@spoken
def run(
    study: Study,
    *,
    out: str | Path,
    workers: int | None = None,
    allow_import: bool = False,
    executor: str | Mapping[str, str] | None = None,
) -> Run:
    """Run a study, or continue it in the folder `out`, and write its report. Finished runs are used again.

    `workers`: number of processes; by default one for each core, or four for each GPU. `allow_import`: entries may name
    classes of your own in the working directory. `executor`: what trains the runs, instead of what the study says: a
    kind such as "ray", or the section `executor` of a config, such as {"kind": "ray", "address": "auto"}. Raises
    InputError for bad input, and KeyboardInterrupt after an interruption; everything that was measured is kept, and the
    same call continues.
    """
    from lrladder.benchmark.studies.executors import on_executor
    from lrladder.benchmark.studies.runner import run_study
    from lrladder.reports.pages import write_report

    require_positive(workers=workers)
    asked = {"kind": executor} if executor is None or isinstance(executor, str) else dict(executor)
    config, folder = on_executor(study.config, asked.pop("kind", None), **asked), Path(out)
    kind_of(config).require_classes(config, from_here=allow_import)
    ended = run_study(config, folder, workers=workers)
    if ended.results is not None and not ended.stopped:
        write_report(ended.results, folder)
    if ended.stopped:
        raise InputError(f"stopped: {ended.stopped}; what was measured is kept: make room, and call run again")
    if ended.interrupted:
        raise KeyboardInterrupt
    assert ended.results is not None, "results are left out only where a run is stopped or interrupted"
    return Run(folder, ended.results)


@spoken
def load(folder: str | Path) -> Run:
    """The results of a study that ran before, here or by `lrladder run`, also of an older version. Raises InputError.

    A study that was killed is read from its logs.
    """
    from lrladder.reports.pages import page_of

    place = Path(folder)
    page = page_of(place)
    with understood(place):
        found: Any = page.load(place)
    if not isinstance(found, StudyResults):
        raise InputError(f"{folder} holds no study; for a folder of `lrladder fit` call Fit.load(folder)")
    return Run(place, found)


def _wanted(model: Model | str | None, goal: Goal | None, entry: str | None, force: bool) -> Wanted:
    """The request. Numbers of the goal are rounded to whole steps of whole sequences, as `design` does."""
    if isinstance(model, Model):
        if goal is None:
            raise InputError("recommend: goal is missing; give Goal(tokens=..., batch_tokens=...) of your model's run")
        shape = model.shape
        tokens, batch = whole_run(goal.tokens, goal.batch_tokens, shape.seq_len)
        sizes = {name: getattr(shape, name) for name in type(shape).model_fields if name != "architecture"}
        return Wanted(
            entry, sizes=sizes, architecture=shape.architecture, tokens=tokens, batch_tokens=batch, force=force
        )
    if goal is None:
        return Wanted(entry, model, force=force)
    return Wanted(entry, model, tokens=round(goal.tokens), batch_tokens=round(goal.batch_tokens), force=force)
