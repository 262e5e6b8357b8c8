"""The interface of a paradigm, a way to choose the LR: one search on proxies, and then a proposal for each target."""

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
    """The paradigm has no LR to propose. The message says why."""


class Proposal(BaseModel):
    """The LR that a paradigm chooses for one rung and horizon, before the rules are applied.

    The interval is 90%; its ends are None if the paradigm gives none. `flags` are texts that say what weakens the
    proposal. The study fills in `paradigm`, the name of the entry, and `parametrization`, the label of its arm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    paradigm: str = ""
    parametrization: ParametrizationName = ""
    rung: str
    horizon: int
    lr: float
    lr_low: float | None = None
    lr_high: float | None = None
    extrapolation: float  # FLOPs of a run at the rung and horizon / FLOPs of the largest searched run
    flags: tuple[str, ...] = ()
    horizon_exponent: float | None = None  # as in Request
    role_lrs: tuple[tuple[str, float], ...] = ()  # as in Request
    lr_proposed: float | None = None  # the LR before it was moved to the lattice; None if it was not moved

    def continued_to(self, horizon: int) -> Self:
        """The proposal for the same run at a later horizon, for which its LR was not chosen."""
        changes = {
            "horizon": horizon,
            "extrapolation": self.extrapolation * horizon / self.horizon,
            "flags": (f"continued: its LR was chosen for {self.horizon:,} tokens", *self.flags),
        }
        return self.model_copy(update=changes)


class Terms(NamedTuple):
    """What the study tells an entry, apart from the settings of its paradigm."""

    name: str = ""  # of the entry
    base: str = ""  # the name of the base rung of its parametrization
    budget: float | None = None  # runs of the largest target or goal; None: no limit
    horizon_rule: HorizonRule = "none"  # how its parametrization or schedule carries an LR to another horizon
    is_replay: bool = False  # whether the lab has only runs that were made before, at fixed LRs


NOT_SEARCHED = "search has not been run"
ONLY_PROPOSALS = "only its proposals are stored, not what its search found"
NO_MINIMUM = "no cell has a bracketed minimum"


def require_proxy(ladder: Sequence[Rung], name: str, *, by: str) -> Rung:
    """The proxy with this name. Raises NoProposal, in the name of the paradigm `by`, if the ladder has none."""
    found = next((rung for rung in ladder if rung.name == name and rung.part == "proxy"), None)
    if found is None:
        raise NoProposal(f"{by}: {name!r} is not a proxy of this ladder")
    return found


class Paradigm(ABC):
    """A way to choose the LR, as one entry uses it.

    `settings` is an instance of the class's `Settings`. If it has none, it is an object with the keys of the config.
    """

    Settings: ClassVar[type[BaseModel] | None] = None
    searches_targets: ClassVar[bool] = False  # whether its search runs the targets themselves; the report says so

    def __init__(self, settings: Any, terms: Terms) -> None:
        self.settings, self.terms = settings, terms
        self.law: Law | None = None  # the law that it fitted, for reports
        self.curves: Mapping[tuple[str, int], Curve] = {}  # loss against LR by rung and horizon, for reports

    @abstractmethod
    def search(self, lab: "EntryLab", ladder: Sequence[Rung]) -> None:
        """Ask the lab for runs. The ladder also has targets and goals, whose losses a search may not see.

        Raises NoProposal.
        """

    @abstractmethod
    def propose(self, rung: Rung, horizon: int) -> Proposal:
        """The proposal for a rung and horizon (tokens), without any further run. Raises NoProposal."""

    def learn(self, ladder: Sequence[Rung], curves: "Mapping[tuple[str, int], Curve]") -> None:
        """Learn from the curves of an earlier search in place of a search.

        Raises NoProposal if these curves are not enough, as for a class of the user's own.
        """
        raise NoProposal(f"{self.terms.name}: {ONLY_PROPOSALS}")


MakeParadigm = Callable[[Any, Terms], Paradigm]
