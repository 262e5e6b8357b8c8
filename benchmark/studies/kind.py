"""What a kind of study is: how it is written down, which runs it plans, how it runs and what it finds.

A kind is one folder beside this file, with a `StudyKind` in its `kind.py`, and one line in `kinds.KINDS`. Its page is
one folder in reports, and one line in `reports.pages.PAGES`.
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
    """A study on a lab."""

    def run(self) -> None:
        """All stages in order."""
        ...

    def results(self, found: Found) -> Results_co:
        """What is known so far; it can be asked at any time, also after a `run` that was interrupted."""
        ...


class StudyKind(ABC, Generic[Config, Results]):
    """One kind of study. Methods import what they need when they are called: naming a kind must stay quick."""

    name: ClassVar[str]  # the config's `kind`
    config_model: type[Config]
    results_model: type[Results]

    @property
    def schema(self) -> str:
        """The first line of its results.json."""
        return str(self.results_model.model_fields["schema_"].default)

    @abstractmethod
    def parametrizations(self, config: Config) -> Sequence[str]:
        """Every name under which the study plans runs."""

    def names_of(self, config: Config, trial: Trial) -> Sequence[str]:
        """Names under which it may have asked for a stored trial."""
        return self.parametrizations(config)

    @abstractmethod
    def sweeps(self, config: Config) -> Iterable[Sweep]:
        """Everything that the study would train, for its plan."""

    def notes(self, config: Config) -> tuple[str, ...]:
        """What a reader of the plan must know."""
        return ()

    def simulated_lab(self, config: Config) -> Lab | None:
        """Where the losses come from if nothing is to be trained."""
        return None

    @abstractmethod
    def start(self, config: Config, lab: Lab, on_stage: Callable[[str], None]) -> StartedStudy[Results]:
        """The study on a lab; `on_stage` is told in words what comes next."""

    @abstractmethod
    def assemble(self, config: Config, found: Found) -> Results:
        """Results of what a store holds, where no process lives that knows more."""
