"""Runs or continues one study in one folder, and writes results.json."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console

from lrladder.benchmark.config.lab import HERE
from lrladder.benchmark.console import make_console
from lrladder.benchmark.environment import environment
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_folder, write_pieces
from lrladder.benchmark.lab.external import ExternalLab, Wanted
from lrladder.benchmark.lab.lock import lock
from lrladder.benchmark.lab.loggers.places import read_places
from lrladder.benchmark.lab.older import refuse_older
from lrladder.benchmark.lab.recorder import Recorder
from lrladder.benchmark.lab.register import Register
from lrladder.benchmark.lab.training_losses import TrainingLosses
from lrladder.benchmark.reading import why
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kind import StudyKind
from lrladder.benchmark.studies.kinds import kind_of, plan_of
from lrladder.benchmark.studies.layout import read_results
from lrladder.benchmark.studies.planner import works_of
from lrladder.benchmark.studies.results import SIMULATED, Found, StudyResults, in_order
from lrladder.benchmark.studies.session import Session, open_session, open_stored, write_config
from lrladder.paradigms.lab import Lab

Results = TypeVar("Results", bound=StudyResults)


@dataclass(frozen=True)
class Ended(Generic[Results]):
    """How a run of a study ended. `results` None: interrupted, and the complete results in the folder were kept."""

    results: Results | None
    interrupted: bool = False
    stopped: str = ""  # the fault of the machine that ended the run, such as a full disk
    failed: int = 0  # number of trials
    trained_tokens: int = 0  # by this call
    saved_tokens: int = 0  # that stored trunks made unnecessary
    wanted: tuple[Wanted, ...] = ()  # readings that the user's own trainer is asked for
    open_here: int = 0  # runs that `lrladder run` has to train first


def run_study(
    config: StudyConfig,
    out: Path,
    *,
    workers: int | None = None,
    change: Callable[[], None] | None = None,
    needed_later: str = "",
) -> Ended[Any]:
    """Run or continue the study in `out`. Raises InputError for bad input.

    `change` assigns the folder to this config. It is called after all checks. `needed_later` is the name of a module
    that the caller needs when the study has ended. It is imported while runs train, because that takes seconds.
    """
    kind = kind_of(config)
    if (lab := kind.simulated_lab(config)) is not None:
        refuse_older(out)
        make_folder(out)
        with lock(out):
            return _simulate(config, lab, out, make_console())
    with open_session(config, out, workers=workers, change=change) as session:
        return _train(kind, config, session, needed_later=needed_later)


def run_stored(
    config: StudyConfig, folder: Path, tell: Callable[[Register], None] = lambda register: None
) -> Ended[Any]:
    """Go on with a study whose runs are trained elsewhere, as far as what is stored allows. Nothing is trained.

    `tell` is called first, under the lock, and may add to what was told. Raises InputError.
    """
    if config.lab == HERE:
        raise InputError(
            f"{folder}: this study trains all of its runs itself; `lrladder run` continues it. For your own trainer a "
            "config needs lab: {kind: external, data: NAME OF YOUR TEXT}"
        )
    with open_stored(config, folder) as session:
        tell(Register(folder))
        return _train(kind_of(config), config, session)


def run_on(config: StudyConfig, lab: Lab, *, corpus: Mapping[str, object] | None = None) -> Any:
    """Run a whole study on a lab and return its results. Nothing is written. `corpus` is the source of the losses."""
    recorder = Recorder(lab)
    study = kind_of(config).start(config, recorder, on_stage=lambda stage: None)
    study.run()
    return study.results(Found(recorder.measurements, corpus or {}, environment()))


def _simulate(config: StudyConfig, lab: Lab, out: Path, console: Console) -> Ended[Any]:
    """Run the same protocol with losses from a known law. It takes seconds, so nothing is stored for continuing."""
    if (out / "store.sqlite").exists():
        raise InputError(f"OUT {out} holds a study that was trained; choose another folder for a simulated one")
    write_config(config, out)
    results = run_on(config, lab, corpus={"source": SIMULATED})
    write_pieces(out / "results.json", results.pieces())
    console.print(SIMULATED)
    return Ended(results)


def _train(
    kind: StudyKind[Any, Results], config: StudyConfig, session: Session, *, needed_later: str = ""
) -> Ended[Results]:
    planned = plan_of(config, corpus_tokens=session.corpus_tokens, workers=session.workers)
    interrupted, stopped = False, ""
    with session.lab(planned=works_of(config, planned)) as (lab, progress):
        study = kind.start(config, lab, on_stage=progress.stage)
        for name in filter(None, (needed_later, kind.needed_later)):
            lab.meanwhile(partial(_import, name))
        try:
            study.run()
        except KeyboardInterrupt:
            interrupted = True
        except (OSError, sqlite3.Error) as error:  # most often a full disk
            stopped = f"{session.out}: {why(error)}"
    if (interrupted or stopped) and _is_complete(session.out, kind.results_model):
        return Ended(None, interrupted, stopped)
    found = Found(
        measurements=in_order(lab.seen.values()),
        corpus=dict(session.facts),
        environment=session.environment,
        trained_now=lab.trained_now,
        seconds=lab.seconds,
        losses=TrainingLosses(session.out).of,
        logged=read_places(session.out),
    )
    results = study.results(found)
    try:
        write_pieces(session.out / "results.json", results.pieces())
    except OSError as error:
        stopped = stopped or f"{session.out / 'results.json'}: {why(error)}"
    saved = lab.planned_tokens - lab.trained_tokens
    wanted = tuple(lab.wanted.values()) if isinstance(lab, ExternalLab) else ()
    return Ended(
        results, interrupted, stopped, len(lab.failed), lab.trained_tokens, saved, wanted, len(session.not_trained)
    )


def _import(module: str) -> None:
    """Import a module early. If it cannot be imported, whoever needs it says so, when the runs are stored."""
    with suppress(Exception):
        import_module(module)


def _is_complete(out: Path, model: type[StudyResults]) -> bool:
    with suppress(OSError, ValueError):
        return read_results(out / "results.json", model).complete
    return False
