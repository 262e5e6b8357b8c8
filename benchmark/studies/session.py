"""The resources of a running study that trains: folder, corpus, store and workers.

A study whose runs are all trained elsewhere has neither corpus nor workers. `open_stored` opens any such study, also
one that trains some runs here, to look at what is stored; then nothing is trained.
"""

import functools
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import yaml
from rich.console import Console

from lrladder.benchmark.config.lab import HERE
from lrladder.benchmark.console import make_console
from lrladder.benchmark.environment import cuda_devices, default_workers, environment, gpu_bytes, gpu_names
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import cache_folder, make_folder, require_inner, write_text
from lrladder.benchmark.lab import loggers
from lrladder.benchmark.lab.external import ExternalLab, NoTrainer, take_in
from lrladder.benchmark.lab.heartbeat import allowed_silence
from lrladder.benchmark.lab.lock import lock
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.older import refuse_older
from lrladder.benchmark.lab.progress import Progress
from lrladder.benchmark.lab.register import Register
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.time_left import Work
from lrladder.benchmark.lab.trained import Executor, TrainedLab
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import SHARED, LocalExecutor
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.written import read_written
from lrladder.benchmark.training import compiling, overlap
from lrladder.benchmark.training.corpus import Corpus, prepare
from lrladder.benchmark.training.entry import Verified
from lrladder.benchmark.training.memory import PROCESS_BYTES, device_bytes, micro_batch_of
from lrladder.benchmark.training.text.progress import shown
from lrladder.benchmark.training.text.words import sentences
from lrladder.models.experts.megablocks import unavailable_reason
from lrladder.models.shape import ModelShape

INNER = ("trials", "logs", "trunks", "tensorboard", "wandb", "report")  # folders that a study creates in its folder


@dataclass(frozen=True)
class Session:
    """An open study folder, locked by this process. `corpus` None: it trains nothing.

    `facts` and `environment` say what the runs were trained on, for the results.
    """

    study: StudyConfig
    out: Path
    corpus: Corpus | None
    digest: str  # of the corpus
    facts: Mapping[str, object]
    environment: Mapping[str, str]
    store: Store
    workers: int
    console: Console
    not_trained: dict[str, Trial] = field(default_factory=dict)  # by id, where nothing is trained: what must be first

    @property
    def corpus_tokens(self) -> int | None:
        return None if self.corpus is None else len(self.corpus.train)

    @contextmanager
    def lab(self, *, planned: Iterable[Work]) -> Iterator[tuple[TrainedLab, Progress]]:
        """A lab with its workers, and the display of its progress."""
        progress = Progress(self.console, planned=planned, workers=self.workers)
        if self.corpus is None:
            yield self._lab(NoTrainer(self.not_trained), progress), progress
            return
        executor = self._executor(self.corpus, progress)
        try:
            with progress:
                yield self._lab(executor, progress), progress
        finally:
            executor.close()

    def _lab(self, executor: Executor, progress: Progress) -> TrainedLab:
        study, digest, store, precision = self.study, self.digest, self.store, self._precision()
        if study.lab == HERE:
            return TrainedLab(study, digest, store, executor, progress, precision=precision)
        register = Register(self.out)
        for trial, _ in store.all():  # a kill may have come between what was told and the store
            for rung in study.rungs if trial.corpus_digest == study.lab.digest else ():
                take_in(trial, rung.name, store, register)
        return ExternalLab(
            study, digest, store, executor, progress, precision=precision, lab=study.lab, register=register
        )

    def _precision(self) -> Literal["fp32", "bf16"]:
        """That of this machine; where nothing is trained, that of the runs that were trained here before."""
        if self.corpus is None:
            for trial, _ in self.store.all():
                if trial.corpus_digest == self.digest != self.study.lab.digest:
                    return trial.precision
        return "bf16" if gpu_names() else "fp32"

    def _executor(self, corpus: Corpus, progress: Progress) -> LocalExecutor:
        shape = self.study.base.shape
        kept = frozenset(rung.shape for rung in self.study.rungs if rung.part == "target")
        documents = self.study.corpus.val_documents
        start = partial(start_worker, corpus.verified, shape.seq_len, documents, self.out / "trunks", kept)
        return LocalExecutor(
            self.out,
            start,
            workers=self.workers,
            devices=cuda_devices(),
            fits=partial(_fit, room_bytes=gpu_bytes()),
            silence=allowed_silence(),
            say=progress.say,
        )


def _fit(trials: Sequence[Trial], *, room_bytes: float | None) -> bool:
    """Whether these trials fit on one device together. Without a GPU every core trains one trial."""
    if room_bytes is None:
        return True
    needed = (device_bytes(trial, micro_batch_of(trial, room_bytes)) for trial in trials)
    return sum(need + PROCESS_BYTES for need in needed) <= room_bytes


def _require_devices(study: StudyConfig, workers: int) -> None:
    """Raises InputError if a trial needs more devices than this machine gives."""
    gpus = len(cuda_devices())
    for rung in study.rungs:
        needed = study.training_of(rung).devices
        if gpus and needed > gpus:
            raise InputError(
                f"training.devices: rung {rung.name} needs {needed} GPUs, but this machine has {gpus}; lower devices"
            )
        if not gpus and needed > workers:
            raise InputError(
                f"training.devices: rung {rung.name} needs {needed} processes, but there are {workers} workers; "
                f"lower devices, or give --workers {needed}"
            )


@contextmanager
def open_session(
    study: StudyConfig, out: Path, *, workers: int | None, change: Callable[[], None] | None = None
) -> Iterator[Session]:
    """Open or create a study's folder. Raises InputError for bad input.

    `change` assigns the folder to this config. It is called under the lock, once the corpus is known to suffice.
    """
    if study.trained_here:
        _require_trainer(study, workers or default_workers())
    refuse_older(out)
    make_folder(out)
    console = make_console()
    with lock(out):
        for name in INNER:
            require_inner(out / name)
        corpus = _prepared(study, console) if study.trained_here else None
        if change is not None:
            change()
        digest = study.lab.digest if corpus is None else corpus.digest
        store = Store.open(out, config_digest=study.digest, corpus_digest=digest)
        if store.mended:
            console.print(
                f"{store.mended} trials were missing or different in store.sqlite; they were taken from trials/."
            )
        write_config(study, out)
        facts = _elsewhere(study) if corpus is None else {**corpus.manifest, **_mixed(study)}
        machine = {} if corpus is None else environment(gpus=gpu_names())
        yield Session(study, out, corpus, digest, facts, machine, store, workers or default_workers(), console)


def _require_trainer(study: StudyConfig, workers: int) -> None:
    """Raises InputError if this machine or environment cannot train the study."""
    if study.expert_backend == "megablocks" and (reason := unavailable_reason()):
        raise InputError(reason)
    loggers.chosen()  # refuse a bad choice here, not in a worker
    compiling.chosen()
    allowed_silence()
    _require_devices(study, workers)


def _prepared(study: StudyConfig, console: Console) -> Corpus:
    """The corpus, from the cache if it is there. What it holds is said. Raises InputError if it is too short."""
    console.print("Preparing the corpus. This takes half a minute, or two with corpus.packages, and is done once ...")
    with shown(console) as show:
        cache, seq_len = cache_folder(), study.base.shape.seq_len
        corpus = prepare(study.corpus, seq_len=seq_len, cache=cache, say=console.print, show=show)
    for sentence in (*sentences(corpus.manifest), f"Corpus: {overlap.sentence(corpus.manifest)}."):
        console.print(sentence, soft_wrap=True)
    corpus.require(study.longest_horizon)
    return corpus


def _elsewhere(study: StudyConfig) -> dict[str, object]:
    """What results say of a text that this program never sees."""
    return {"digest": study.lab.digest, "source": f"trained elsewhere, on: {study.lab.data}"}


def _mixed(study: StudyConfig) -> dict[str, object]:
    """What results say of runs that are trained elsewhere, beside the corpus of the others."""
    if study.lab == HERE:
        return {}
    return {"external": {**_elsewhere(study), "parts": list(study.lab.parts)}}


@contextmanager
def open_stored(study: StudyConfig, folder: Path) -> Iterator[Session]:
    """Open the folder of a study with runs that are trained elsewhere, to go on from what is stored. Trains nothing.

    Raises InputError for bad input.
    """
    refuse_older(folder)
    with lock(folder):
        for name in INNER:
            require_inner(folder / name)
        with closing(Store.reopen(folder)) as known:
            digest = known.digest("corpus") or study.lab.digest
        store = Store.open(folder, config_digest=study.digest, corpus_digest=digest)
        before, _ = read_written(folder, with_measurements=False)
        facts = before.corpus or _elsewhere(study)
        yield Session(study, folder, None, digest, facts, before.environment, store, 1, Console(quiet=True))


def write_config(study: StudyConfig, out: Path) -> None:
    """Write the resolved config, which can be run again."""
    write_text(out / "config.yaml", yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))


def start_worker(
    verified: Verified, seq_len: int, val_documents: int, trunks: Path, kept: frozenset[ModelShape]
) -> Callable[[Trial, Callable[[dict[str, object]], None]], list[TrialMeasurement]]:
    """Start a worker: import the training code and open the corpus. Returns the function that trains one trial.

    Trunks of the shapes in `kept` stay in `trunks`, so that runs can continue to longer horizons.
    """
    import torch

    from lrladder.benchmark.training.checkpoints import STOP
    from lrladder.benchmark.training.corpus import load
    from lrladder.benchmark.training.launch import Job, train_on_ranks
    from lrladder.benchmark.training.train import train

    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    torch.set_num_threads(1)
    corpus = load(verified, seq_len, val_documents)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    compiles = functools.cache(
        partial(compiling.prepare, cache_folder() / "compiled", device)
    )  # checked only if compiling pays

    def run(trial: Trial, log: Callable[[dict[str, object]], None]) -> list[TrialMeasurement]:
        keep, micro_batch = trial.shape in kept, micro_batch_of(trial, gpu_bytes())
        if trial.training.devices > 1:
            cache = cache_folder() / "compiled" if compiling.pays(trial, device) else None
            job = Job(trial, verified, val_documents, trunks, keep, micro_batch, cache)
            return train_on_ranks(job, log=log, is_told_to_end=STOP.is_set, devices=os.environ.get(SHARED))
        compiled = compiling.pays(trial, device) and compiles()
        try:
            return train(trial, corpus, log=log, trunks=trunks, keep=keep, micro_batch=micro_batch, compiled=compiled)
        finally:
            if device == "cuda":
                torch.cuda.empty_cache()  # for other workers on this GPU

    return run
