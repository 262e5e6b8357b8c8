"""Laws fitted to the user's own runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Union

from lrladder.benchmark.api.spoken import in_python, spoken
from lrladder.benchmark.api.view import Shown, view
from lrladder.benchmark.errors import InputError, require_positive
from lrladder.benchmark.own_runs import fit_file
from lrladder.benchmark.own_runs.cells import Protocol
from lrladder.benchmark.own_runs.columns import known_columns
from lrladder.benchmark.own_runs.fit_results import FitResults, FittedLaw
from lrladder.benchmark.recommend import fit as by_fit
from lrladder.benchmark.recommend.sanity import Target

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fit:
    """The laws of a table of runs. `results` is what `lrladder fit` writes (docs/fitting.md)."""

    results: FitResults

    @classmethod
    @spoken
    def load(cls, folder: str | Path) -> "Fit":
        """The fit in a folder that `fit(..., out=folder)` or `lrladder fit --out` wrote. Raises InputError."""
        return cls(fit_file.load_fit(Path(folder)))

    @property
    @spoken
    def law(self) -> FittedLaw:
        """The law of the best LR with its exponents and their 90% intervals. Raises InputError if there is none."""
        if not self.results.laws:
            raise InputError(f"{self.results.source}: no cell has a bracketed minimum, so there is no law; see cells")
        return self.results.laws[0]

    @cached_property
    def cells(self) -> "pd.DataFrame":
        """A row for each sweep: its best LR with a 90% interval, if it brackets one, and the loss there in nats."""
        import pandas as pd

        rows = [cell.model_dump(exclude={"lrs", "losses"}) for cell in self.results.cells]
        return pd.DataFrame(rows).rename(columns={"loss": "loss_nats", "n": "n_lrs"})

    @property
    def weak(self) -> tuple[str, ...]:
        """What was noticed about the table, in words."""
        return self.results.flags

    @spoken
    def recommend(
        self,
        n_params: float,
        tokens: float,
        *,
        n_active: float | None = None,
        batch_tokens: float | None = None,
        tflops: float | None = None,
        budget: float | None = None,
        force: bool = False,
    ) -> by_fit.Recommendation:
        """The LR for a model, its 90% interval, the expected loss, and as `next_sweep` the sweep to run next.

        Parameters are counted as in the table. `n_active` is needed for a table that has it. `tflops`: what one GPU
        sustains, for the price of a wrong LR in GPU-hours. `budget`: the most that the next sweep may cost, in runs of
        this model. `force` answers even where no interval was checked. Raises InputError.
        """
        require_positive(n_params=n_params, tokens=tokens, n_active=n_active, batch_tokens=batch_tokens)
        require_positive(tflops=tflops, budget=budget)
        target = Target(n_params, tokens, n_active, batch_tokens)
        found = by_fit.recommend(self.results, target, force=force, tflops=tflops, budget=budget)
        return found.model_copy(update={"flags": tuple(map(in_python, found.flags))})

    def _repr_html_(self) -> str:
        return view(
            f"Fit of {self.results.source}", fit_file.words(self.results).splitlines(), [Shown("sweeps", self.cells)]
        )


@spoken
def fit(
    runs: Union[str, Path, "pd.DataFrame"],
    *,
    columns: Mapping[str, str] | None = None,
    protocol: Protocol = "best",
    budget: float | None = None,
    out: str | Path | None = None,
) -> Fit:
    """Fit laws of the best LR, the loss and the batch to your own runs: a file of any kind that is read, or a frame.

    `columns` maps our names to yours, or to one number for all rows. In a frame a missing loss means a run that
    diverged. `protocol` and `budget` are those of `lrladder fit`. With `out` the results and the report are written
    there, for `Fit.load` and `lrladder recommend`. Raises InputError.
    """
    from lrladder.reports.pages import write_report

    require_positive(budget=budget)
    chosen = known_columns({ours: str(theirs) for ours, theirs in (columns or {}).items()})
    source = Path(runs) if isinstance(runs, str | Path) else runs
    results = fit_file.fit_file(source, protocol=protocol, columns=chosen, budget=budget)
    if out is not None:
        fit_file.save(results, Path(out))
        write_report(results, Path(out))
    return Fit(results)
