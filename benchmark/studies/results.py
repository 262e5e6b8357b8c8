"""The part of results.json that all kinds of study share. docs/results.md documents it."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from lrladder.benchmark.documents import Document
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.counts import TrialCounts, count_trials
from lrladder.paradigms.lab import Measurement

SIMULATED = (
    "SIMULATED: losses come from a known law plus noise; nothing was trained and nothing is said of real models."
)
NO_READINGS = '\n  "measurements": [],'
LAST = ("measurements", "config", "corpus", "environment")  # written last in the file, because they are long


class StudyResults(Document):
    """Results of a study. Each kind adds fields, and sets `schema_`."""

    preset: str
    config_digest: str
    corpus_digest: str
    complete: bool  # False if interrupted or partial; `missing` has the reasons
    missing: tuple[str, ...]
    trials: TrialCounts
    measurements: tuple[Measurement, ...]
    config: dict[str, object]
    corpus: dict[str, object]  # digest, tokens, files, source
    environment: dict[str, str]  # versions and hardware
    logged: dict[str, dict[str, str]] = Field({}, exclude_if=lambda logged: not logged)  # address by trial and logger

    def to_json(self) -> str:
        """The content of results.json."""
        return "".join(self.pieces())

    def pieces(self) -> Iterator[str]:
        """The content of results.json, with the long fields at the end, and each reading in a line."""
        rest = self.model_copy(update={"measurements": ()})
        data = json.loads(super(StudyResults, rest).to_json())
        text = json.dumps({**data, **{name: data.pop(name) for name in LAST}}, indent=2)
        if not self.measurements:
            yield text
            return
        before, _, after = text.rpartition(NO_READINGS)
        yield f'{before}\n  "measurements": ['
        for place, m in enumerate(self.measurements):
            yield f"{',' if place else ''}\n    {json.dumps(m.model_dump(mode='json'))}"
        yield f"\n  ],{after}"


@dataclass(frozen=True)
class Found:
    """The input for the results of a study: all measurements so far, corpus and environment.

    `seconds` is the wall time of the runs by payer. `losses` gives the training losses of a trial by its id, as the
    logs have them: pairs of tokens and nats. `logged` says where trials were logged.
    """

    measurements: Sequence[Measurement]
    corpus: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    trained_now: int = 0  # number of trials that this process trained
    seconds: Mapping[str, float] = field(default_factory=dict)
    logged: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    losses: Callable[[str], Sequence[tuple[int, float]]] = lambda trial_id: ()

    def common(self, config: StudyConfig, missing: Sequence[str]) -> dict[str, Any]:
        """The values for the fields of `StudyResults`."""
        return {
            "preset": config.name,
            "config_digest": config.digest,
            "corpus_digest": str(self.corpus.get("digest", "")),
            "complete": not missing,
            "missing": tuple(missing),
            "trials": count_trials(self.measurements, trained_now=self.trained_now),
            "measurements": tuple(self.measurements),
            "config": config.model_dump(mode="json"),
            "corpus": dict(self.corpus),
            "environment": dict(self.environment),
            "logged": {key: dict(places) for key, places in self.logged.items()},
        }


def in_order(measured: Iterable[Measurement]) -> list[Measurement]:
    """The measurements in an order that does not depend on which trial ended first, so that sums do not either."""
    return sorted(measured, key=lambda m: (m.rung, m.parametrization, m.horizon, m.lr, m.seed, m.role_lrs))
