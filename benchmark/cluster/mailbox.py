"""What trials on other machines tell the coordinator, and what it tells them. The mailbox is an actor beside it."""

from typing import Literal, NamedTuple

Order = Literal["go", "stop", "stale"]


class Letter(NamedTuple):
    """News of one process of an attempt. `beats` counts its signs of life since it began."""

    attempt: int
    rank: int
    node: str  # address of its machine
    node_id: str
    pid: int
    beats: int
    rows: tuple[dict[str, object], ...] = ()  # for the log of the trial
    fault: str | None = None
    trace: str = ""  # of the fault


class Mailbox:
    """Holds letters of current attempts until the coordinator takes them. Letters of all others are refused."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._current: set[int] = set()
        self._meetings: dict[int, str] = {}
        self._stopping = False

    def admit(self, attempt: int) -> None:
        """Take letters of this attempt from now on."""
        self._current.add(attempt)

    def refuse(self, attempt: int) -> None:
        """Take no more letters of this attempt. Its processes are told so when they write."""
        self._current.discard(attempt)
        self._meetings.pop(attempt, None)

    def stop(self) -> None:
        """Tell every process that writes to save its run and to end."""
        self._stopping = True

    def deliver(self, letter: Letter) -> Order:
        """Leave a letter. Returns what its process is to do."""
        if letter.attempt not in self._current:
            return "stale"
        self._letters.append(letter)
        return "stop" if self._stopping else "go"

    def take(self) -> list[Letter]:
        """All letters since the last call, in the order in which they came."""
        letters, self._letters = self._letters, []
        return letters

    def meet(self, attempt: int, address: str | None = None) -> str | None:
        """Where the ranks of an attempt meet. The first rank says it; the others ask until it is known."""
        if address is not None:
            self._meetings[attempt] = address
        return self._meetings.get(attempt)
