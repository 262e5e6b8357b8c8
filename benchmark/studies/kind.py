"""The interface of a kind of study: its config, its plan, how it runs, and its results.

To add a kind, add a folder beside this file with a `StudyKind` in its `kind.py`, and a line in `kinds.KINDS`. Its page
needs a folder in reports and a line in `reports.pages.PAGES`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.planner import Sweep
from lrladder.benchmark.studies.results import Found, StudyResults
from lrladder.paradigms.lab import Lab

Config = TypeVar("Config", bound=StudyConfig)
Results = TypeVar("Results", bound=StudyResults)
Results_co = TypeVar("Results_co", bound=StudyResults, covariant=True)


class StartedStudy(Protocol[Results_co]):
    """A study with a lab to run on."""

    def run(self) -> None:
        """Run all stages in order."""
        ...

    def results(self, found: Found) -> Results_co:
        """The results so far. It can be called at any time, even after `run` was interrupted."""
        ...


class StudyKind(ABC, Generic[Config, Results]):
    """One kind of study. Methods import what they need when called, so that importing a kind is quick."""

    name: ClassVar[str]  # value of `kind` in the config
    config_model: type[Config]
    results_model: type[Results]
    needed_later: ClassVar[str] = ""  # a module that makes the results; imported while runs train

    @property
    def schema(self) -> str:
        """The schema of its results.json."""
        return str(self.results_model.model_fields["schema_"].default)

    @abstractmethod
    def parametrizations(self, config: Config) -> Sequence[str]:
        """The names of all parametrizations of the runs that the study plans."""

    def names_of(self, config: Config, trial: Trial) -> Sequence[str]:
        """The names under which the study may have asked for a stored trial."""
        return self.parametrizations(config)

    @abstractmethod
    def sweeps(self, config: Config) -> Iterable[Sweep]:
        """All sweeps of the study, for its plan."""

    def notes(self, config: Config) -> tuple[str, ...]:
        """Notes for the reader of the plan."""
        return ()

    def require_classes(self, config: Config, *, from_here: bool) -> None:
        """Import the classes of the user's own that the config names, so that a fault is found before any training.

        `from_here` also imports from the working directory. Raises InputError.
        """

    def simulated_lab(self, config: Config) -> Lab | None:
        """The simulated lab of the study; None if the study trains."""
        return None

    @abstractmethod
    def start(self, config: Config, lab: Lab, on_stage: Callable[[str], None]) -> StartedStudy[Results]:
        """The study on a lab. It calls `on_stage` with the name of each stage in words."""

    @abstractmethod
    def assemble(self, config: Config, found: Found) -> Results:
        """Results from the content of a store alone, after the process that ran the study has ended."""
