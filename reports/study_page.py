"""What the pages of several kinds of study show alike: the runs as a table, and the config."""

import json

import pandas as pd

from lrladder.benchmark.studies.results import StudyResults


def measurements(results: StudyResults) -> pd.DataFrame:
    """A table with a row per run and horizon."""
    return pd.DataFrame([m.model_dump(exclude={"metrics"}) for m in results.measurements])


def config_text(results: StudyResults) -> str:
    """The resolved config as JSON."""
    return json.dumps(results.config, indent=2, ensure_ascii=False, default=str)
