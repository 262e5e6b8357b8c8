"""The search: it brackets one ingredient after the other and moves it to a value that is better beyond the noise."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lrladder.benchmark.studies.recipe.curve import Curve
from lrladder.benchmark.studies.recipe.ingredients import Ingredient, Setting
from lrladder.benchmark.studies.recipe.noise import Losses, Noise

Direction = tuple[str, ...]  # ingredients that move together, by the same octaves
# With twice the std an embedding learns as fast at twice the LR, so the two have a valley of their own.
TOGETHER: Direction = ("embedding_std", "embedding_lr")
Position = Mapping[str, float]  # octaves from the old recipe
Measure = Callable[[Sequence[Setting]], Sequence[Losses]]  # raises OutOfBudget


class OutOfBudget(Exception):
    """The budget allows no further run. The message says so."""


@dataclass(frozen=True)
class Explored:
    """The last search along one direction: the position that it started from, and the losses by offset in octaves."""

    position: Position
    points: Mapping[float, Losses]


@dataclass
class Search:
    """Asks for losses until no ingredient moves any more. Equal losses give an equal search, so it can be played again.

    `noise` returns the noise of everything measured so far.
    """

    ingredients: Mapping[str, Ingredient]
    measure: Measure
    noise: Callable[[], Noise]
    max_passes: int
    on_stage: Callable[[str], None] = lambda stage: None
    position: dict[str, float] = field(init=False)
    explored: dict[Direction, Explored] = field(init=False, default_factory=dict)
    passes: int = field(init=False, default=0)  # passes that have ended
    stopped: str = field(init=False, default="")  # why the search stopped before it was settled

    def __post_init__(self) -> None:
        self.position = {name: one.start for name, one in self.ingredients.items()}

    def run(self) -> None:
        """Makes at least two passes over all directions, until a pass moves nothing and every direction is settled."""
        try:
            while self.passes < self.max_passes:
                is_moving = self._pass()
                self.passes += 1
                if not is_moving and self.passes > 1 and all(map(self.is_settled, self.directions())):
                    return
            self.stopped = f"not settled after {self.max_passes} passes (max_passes)"
        except OutOfBudget as error:
            self.stopped = str(error)

    def setting(self, position: Position) -> dict[str, float]:
        """The values of the ingredients at a position."""
        return {name: one.value(position[name]) for name, one in self.ingredients.items()}

    def curve(self, direction: Direction) -> Curve | None:
        """The losses along a direction, with the noise known now. None before the direction was searched."""
        found = self.explored.get(direction)
        if found is None:
            return None
        old = -found.position[direction[0]] if len(direction) == 1 else 0.0
        return Curve(found.points, *self._ends(direction, found.position), self.noise(), old)

    def directions(self) -> Iterator[Direction]:
        """Each ingredient alone, and the pair of ingredients that depend on each other, after both of them."""
        for name in self.ingredients:
            yield (name,)
            if name == TOGETHER[0]:
                yield TOGETHER

    def _pass(self) -> bool:
        """Search all directions once. Returns whether anything moved."""
        before = dict(self.position)
        for direction in self.directions():
            self.on_stage(f"pass {self.passes + 1}: {' and '.join(direction)}")
            self._explore(direction)
        return self.position != before

    def is_settled(self, direction: Direction) -> bool:
        """Whether a direction needs no further run and no move, by the noise of all runs so far."""
        curve = self.curve(direction)
        return curve is not None and not curve.missing() and not curve.choice()

    def _explore(self, direction: Direction) -> None:
        start = dict(self.position)
        points: dict[float, Losses] = {}
        self.explored[direction] = Explored(start, points)
        while wanted := self._curve(direction).missing():
            self._add(direction, start, points, wanted)
        self.position = self._moved(direction, start, self._curve(direction).choice())

    def _curve(self, direction: Direction) -> Curve:
        curve = self.curve(direction)
        assert curve is not None
        return curve

    def _add(self, direction: Direction, start: Position, points: dict[float, Losses], wanted: Sequence[float]) -> None:
        asked = [self.setting(self._moved(direction, start, offset)) for offset in wanted]
        points.update(zip(wanted, self.measure(asked), strict=True))

    def _moved(self, direction: Direction, start: Position, offset: float) -> dict[str, float]:
        return {name: octaves + (offset if name in direction else 0.0) for name, octaves in start.items()}

    def _ends(self, direction: Direction, start: Position) -> tuple[float, float]:
        """How far a direction can move down and up, in octaves, before one of its ingredients leaves its range."""
        some = [(self.ingredients[name], start[name]) for name in direction]
        return max(one.low - at for one, at in some), min(one.high - at for one, at in some)
