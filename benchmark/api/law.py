"""The law of the best LR that a study fitted."""

from dataclasses import dataclass
from pathlib import Path

from lrladder.benchmark.api.recommendation import Recommendation
from lrladder.benchmark.api.spoken import spoken
from lrladder.benchmark.api.view import view
from lrladder.benchmark.errors import LARGEST, InputError
from lrladder.benchmark.reading import understood
from lrladder.benchmark.recommend.study import advise
from lrladder.benchmark.recommend.wanted import Wanted
from lrladder.benchmark.studies.regret.results import LawResult, RegretResults


@dataclass(frozen=True)
class Law:
    """lr* = k N^-u D^-v B^w A^s, as the entry `entry` fitted it; `found` has its numbers with 90% intervals."""

    results: RegretResults
    entry: str
    found: LawResult

    @classmethod
    def of(cls, results: RegretResults) -> "Law":
        """The law of the first entry of fitting that has one, those under `sp` first. Raises InputError without any."""
        for one in sorted(results.entries, key=lambda one: one.parametrization != "sp"):
            if one.paradigm == "fitting" and one.law is not None:
                return cls(results, one.name, one.law)
        why = "; ".join(f"{one.name}: {one.reason}" for one in results.entries if one.reason)
        raise InputError(
            f"{results.preset}: no entry of fitting has a law ({why or 'the study has none'}); add an entry of fitting "
            "to the study, or run it to its end"
        )

    @spoken
    def predict(
        self,
        n_active: float,
        tokens: float,
        *,
        n_total: float | None = None,
        batch_tokens: float | None = None,
        force: bool = False,
    ) -> Recommendation:
        """The LR of a model with so many active non-embedding parameters, in the entry's parametrization.

        `n_total` counts all experts. Without it, the model is as sparse as the study's only goal, or dense if there is
        none. Without `batch_tokens`, the batch is that of the goal. `force` answers even where no interval was checked.
        Raises InputError.
        """
        wanted = Wanted(
            self.entry,
            n_active=_whole("n_active", n_active),
            n_total=None if n_total is None else _whole("n_total", n_total),
            tokens=_whole("tokens", tokens),
            batch_tokens=self._batch() if batch_tokens is None else _whole("batch_tokens", batch_tokens),
            force=force,
        )
        with understood(Path(self.results.preset)):
            return Recommendation(advise(self.results, wanted))

    def _batch(self) -> int | None:
        batches = {goal.batch_tokens for goal in self.results.goals}
        return batches.pop() if len(batches) == 1 else None

    def _repr_html_(self) -> str:
        found = self.found
        lines = [f"n = {found.n_points} best LRs, by {found.size} parameters, of the entry `{self.entry}`"]
        lines += [
            f"{name} {value:.3f}" + ("" if low is None else f", 90% interval {low:.3f} to {high:.3f}")
            for name, value, low, high in (
                ("exponent of size", -found.u, _minus(found.u_high), _minus(found.u_low)),
                ("exponent of tokens", -found.v, _minus(found.v_high), _minus(found.v_low)),
            )
        ]
        return view("Law of the best LR", lines, weak=found.flags)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _whole(name: str, count: float) -> int:
    if not 1 <= count <= LARGEST:
        raise InputError(f"{name} {count:g}: give a whole number from 1")
    return round(count)
