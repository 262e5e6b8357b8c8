"""Two hosts that are really this machine: the file `ssh` beside this one stands in for ssh."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.hosts.launch import train_on_hosts
from lrladder.benchmark.lab.executor import Log
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.corpus import Corpus, prepare
from lrladder.benchmark.training.worker import WorkerSetup
from tests.benchmark.trials import BATCH, tiny_corpus, tiny_trial
from tests.models.shapes import moe_shape

HERE = Path(__file__).parent
SLOTS = ("node-a:0", "node-b:0")
ENDLESS = 400 * BATCH  # tokens; so long that no rank can end before it is killed
GONE_SECONDS = 30.0  # for all processes of a trial to end


def corpus_in(folder: Path) -> Corpus:
    """Tokens in a folder, as every host opens them."""
    tokens = np.asarray(tiny_corpus(folder, tokens=60_000).train)
    for name, part in (("train", tokens[5_000:]), ("val", tokens[:5_000])):
        part.tofile(folder / f"{name}.bin")
    files = {f"{name}_tokens": (str(folder / f"{name}.bin"),) for name in ("train", "val")}
    config = CorpusConfig.model_validate({**files, "vocab_size": 300, "val_documents": 4})
    return prepare(config, seq_len=moe_shape().seq_len, cache=folder / "cache")


def setup_of(corpus: Corpus, folder: Path) -> WorkerSetup:
    return WorkerSetup(corpus.verified, moe_shape().seq_len, 4, folder / "trunks")


def trial_of(horizon: int) -> Trial:
    return tiny_trial(lr=0.003, horizons=(horizon,), training=TrainingSettings(devices=2, zero_stage=1))


def trained(
    setup: WorkerSetup, trial: Trial, log: Log, is_told_to_end: Callable[[], bool] = lambda: False
) -> list[TrialMeasurement]:
    """The trial with one rank on each host."""
    return train_on_hosts(trial, setup, None, SLOTS, log=log, is_told_to_end=is_told_to_end)


def processes(of: int | None = None) -> list[psutil.Process]:
    """All processes that a process has started, and those that they have started.

    multiprocessing keeps one to the end of a program, where an earlier test started it.
    """
    found = psutil.Process(of).children(recursive=True)
    return [process for process in found if "resource_tracker" not in " ".join(process.cmdline())]


def named(part: str, among: list[psutil.Process]) -> list[psutil.Process]:
    """The processes whose command has a part, in the order of the hosts."""
    return [process for process in among if part in " ".join(process.cmdline())]


def are_gone(held: list[psutil.Process]) -> bool:
    """Whether processes end in time."""
    _, alive = psutil.wait_procs(held, GONE_SECONDS)
    return bool(held) and not [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def main(folder: Path) -> None:
    """Train an endless trial, and say so when it trains."""
    trained(setup_of(corpus_in(folder), folder), trial_of(ENDLESS), lambda row: print("trains", flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
