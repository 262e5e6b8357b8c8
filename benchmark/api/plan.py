"""The plan of a study as frames."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lrladder.benchmark.api.view import Shown, view
from lrladder.benchmark.studies import planner
from lrladder.benchmark.studies.planner import PlacedRung, PlannedTrials, Totals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Plan:
    """What a study would train. `document` is what `lrladder plan --json` prints."""

    document: planner.Plan

    @property
    def planned(self) -> Totals:
        """Runs, tokens, FLOPs and hours if no sweep is extended."""
        return self.document.planned

    @property
    def maximum(self) -> Totals:
        """The same if every sweep is extended as often as the config allows."""
        return self.document.maximum

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """A row for runs that differ in the seed alone. `lr` is NaN where only the study can say it."""
        import pandas as pd

        return pd.DataFrame([_row(trial) for trial in self.document.trials])

    @cached_property
    def placements(self) -> "pd.DataFrame":
        """How the longest run of each model is best trained on the GPUs of `plan(gpus=...)`; empty without them."""
        import pandas as pd

        return pd.DataFrame([_placement(one) for one in self.document.placed])

    def _repr_html_(self) -> str:
        lines = [
            f"{name}: {totals.runs:,} runs, {totals.tokens:.3g} tokens, {totals.flops:.3g} FLOPs, {totals.hours:.3g} h "
            f"on {self.document.workers} {'GPU(s)' if self.document.placed else 'worker(s)'}"
            for name, totals in (("planned", self.planned), ("at most, if every sweep is extended", self.maximum))
        ]
        lines += [f"time: {self.document.throughput_source}", *self.document.notes]
        tables = [Shown("runs", self.runs)]
        if self.document.placed:
            tables.append(Shown("the cheapest way to train the longest run of each model", self.placements))
        return view(f"Plan of study {self.document.name}", lines, tables)


def _row(trial: PlannedTrials) -> dict[str, object]:
    return {
        "payer": trial.payer,
        "purpose": trial.purpose,
        "rung": trial.rung,
        "parametrization": trial.parametrization,
        "lr": float("nan") if trial.lr is None else trial.lr,
        "is_extension": trial.extension,
        "n_runs": trial.runs,
        "tokens_per_run": trial.tokens,
        "flops_per_run": trial.flops,
        "memory_gib_per_device": trial.memory_bytes / 2**30,
        "hours_per_run": trial.seconds / 3600,
        "n_devices": trial.devices,
    }


def _placement(one: PlacedRung) -> dict[str, object]:
    """`n_gpus` is missing if the run fits in no way."""
    fits = one.gpus is not None
    return {
        "rung": one.rung,
        "n_gpus": one.gpus,
        "fewest_gpus": one.fewest,
        "zero_stage": one.zero_stage if fits else None,
        "micro_batch_sequences": one.micro_batch if fits else None,
        "recompute": one.recompute if fits else None,
        "memory_gb_per_gpu": one.needed_bytes / 1e9 if fits else None,
        "hours_per_run": one.seconds / 3600 if fits else None,
    }
