"""What a way of choosing an LR is: one class, with one search for all targets and a proposal for each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from lrladder.paradigms.lab import ParametrizationName, Rung
from lrladder.paradigms.mutransfer.horizon_rule import HorizonRule

if TYPE_CHECKING:
    from lrladder.paradigms.entry_lab import EntryLab
    from lrladder.paradigms.laws.law import Law
    from lrladder.paradigms.sweep.curve import Curve


class NoProposal(ValueError):
    """The search gave nothing to propose from. The message says which cells failed and why."""


class Proposal(BaseModel):
    """The answer for one rung and horizon. The interval is 90%, None without one; `flags` says what weakens it.

    The study fills in `paradigm`, which is the entry's name, and the parametrization.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    paradigm: str = ""
    parametrization: ParametrizationName = ""
    rung: str
    horizon: int
    lr: float
    lr_low: float | None = None
    lr_high: float | None = None
    extrapolation: float  # target FLOPs / largest searched FLOPs
    flags: tuple[str, ...] = ()
    horizon_exponent: float | None = None  # as in Request
    role_lrs: tuple[tuple[str, float], ...] = ()  # as in Request
    lr_proposed: float | None = None  # before `lr`, which is trained, was put on a lattice; None where it was not

    def continued_to(self, horizon: int) -> Self:
        """Of the same run at a later horizon, for which its LR was not chosen."""
        changes = {
            "horizon": horizon,
            "extrapolation": self.extrapolation * horizon / self.horizon,
            "flags": (f"continued: its LR was chosen for {self.horizon:,} tokens", *self.flags),
        }
        return self.model_copy(update=changes)


class Terms(NamedTuple):
    """What the study sets for an entry, beside the settings of its paradigm."""

    name: str = ""  # of the entry
    base: str = ""  # the rung from which the rules of its parametrization count
    budget: float | None = None  # runs of the largest target or goal; None: no limit
    horizon_rule: HorizonRule = "none"  # by which its parametrization or schedule carries an LR to another horizon
    is_replay: bool = False  # whether its lab has only runs that were made before, each at an LR of its own


class Paradigm(ABC):
    """One entry. `settings` is an instance of `Settings`, or what the config says where there is no such class."""

    Settings: ClassVar[type[BaseModel] | None] = None
    searches_targets: ClassVar[bool] = False  # whether its search runs the targets themselves; the report says so

    def __init__(self, settings: Any, terms: Terms) -> None:
        self.settings, self.terms = settings, terms
        self.law: Law | None = None  # what it fitted, for reports
        self.curves: Mapping[tuple[str, int], Curve] = {}  # by rung and horizon, what it learned from; for reports

    @abstractmethod
    def search(self, lab: "EntryLab", ladder: Sequence[Rung]) -> None:
        """Ask for runs. The ladder holds targets and goals too, whose losses no search sees. Raises NoProposal."""

    @abstractmethod
    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """Answer without any further run. Raises NoProposal."""

    def learn(self, ladder: Sequence[Rung], curves: "Mapping[tuple[str, int], Curve]") -> None:
        """Take the curves of an earlier search in place of one. Raises NoProposal where these are not all it takes."""
        raise NoProposal(f"{self.terms.name}: what it found is not stored, only what it proposed")


MakeParadigm = Callable[[Any, Terms], Paradigm]
