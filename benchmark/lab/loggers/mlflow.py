"""MLflow: a run in the database DIR/mlflow/mlflow.db, or on the server that MLFLOW_TRACKING_URI names.

`mlflow ui --backend-store-uri sqlite:///DIR/mlflow/mlflow.db` shows it. No server is started here. MLflow's own store
of plain files is in maintenance mode: version 3.17 refuses it.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lrladder.benchmark.folders import make_inner, open_plain
from lrladder.benchmark.lab.loggers.logger import VALIDATION, VERDICT, label
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial

SERVER = "MLFLOW_TRACKING_URI"
NO_REPORTS = "MLFLOW_DISABLE_TELEMETRY"  # MLflow reports its use to its makers otherwise
MOST = 500  # metrics in one request; MLflow takes at most 1,000


class MLflow:
    title = "MLflow"

    @staticmethod
    def load() -> None:
        """Import the package, and what it would import later."""
        os.environ.setdefault(NO_REPORTS, "true")
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    @staticmethod
    def prepare(folder: Path) -> None:
        """Make the tables of the database, which takes seconds. A server is left to the trials."""
        if SERVER not in os.environ:
            MLflow.load()
            _opened(folder)

    def __init__(self, folder: Path, trial: Trial) -> None:
        self._waiting: list[Any] = []
        self._client, experiment = _opened(folder)
        self._run: str = self._client.create_run(experiment, run_name=label(trial)).info.run_id
        self._client.set_tag(self._run, "trial", trial.model_dump_json())
        self.address = _page(os.environ.get(SERVER, ""), experiment, self._run)

    def row(self, values: Mapping[str, float], tokens: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._waiting += [Metric(name, value, now, tokens) for name, value in values.items()]
        if len(self._waiting) >= MOST:
            self._send()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST):
            self._client.log_batch(self._run, metrics=waiting[start : start + MOST])

    def finish(self, measurements: Sequence[TrialMeasurement]) -> None:
        for m in measurements:
            self._client.set_tag(self._run, f"{VERDICT}/{m.horizon}", f"{m.verdict} {m.message}".strip())
            if m.loss is not None:
                self.row({f"{VALIDATION}/{m.horizon}": m.loss}, m.horizon)

    def close(self) -> None:
        self._send()
        self._client.set_terminated(self._run)


def _opened(folder: Path) -> tuple[Any, str]:
    """A client, and the id of the experiment with the study's name, which is made if it is not there."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
    server, place = os.environ.get(SERVER), folder.resolve() / "mlflow"
    make_inner(folder / "mlflow")
    with _one_at_a_time(place):
        client = MlflowClient(tracking_uri=server or f"sqlite:///{place / 'mlflow.db'}")
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", place.parent.name)
        if (found := client.get_experiment_by_name(name)) is not None:
            return client, found.experiment_id
        artifacts = None if server else (place / "artifacts").as_uri()
        return client, client.create_experiment(name, artifact_location=artifacts)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """A context for one process at a time, as two that both make the tables of a database disturb each other."""
    with os.fdopen(open_plain(folder / ".lock", os.O_RDWR | os.O_APPEND), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _page(server: str, experiment: str, run: str) -> str | None:
    """The page of a run on a server, without a password; None for a database."""
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https"):
        return None
    place = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    return f"{place}/#/experiments/{experiment}/runs/{run}"
