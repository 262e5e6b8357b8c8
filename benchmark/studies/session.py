"""The resources of a running study that trains: folder, corpus, store and the site that trains its trials.

A study whose runs are all trained elsewhere has neither corpus nor site. `open_stored` opens any such study, also
one that trains some runs here, to look at what is stored; then nothing is trained.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from rich.console import Console

from lrladder.benchmark.config.lab import HERE
from lrladder.benchmark.console import make_console
from lrladder.benchmark.environment import environment
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import cache_folder, make_folder, require_inner, write_text
from lrladder.benchmark.lab.executor import Executor
from lrladder.benchmark.lab.external import ExternalLab, NoTrainer, take_in
from lrladder.benchmark.lab.heartbeat import allowed_silence
from lrladder.benchmark.lab.lock import lock
from lrladder.benchmark.lab.loggers import choice
from lrladder.benchmark.lab.older import refuse_older
from lrladder.benchmark.lab.progress import Progress
from lrladder.benchmark.lab.register import Register
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.time_left import Work
from lrladder.benchmark.lab.trained import TrainedLab
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.executors import open_site
from lrladder.benchmark.studies.written import read_written
from lrladder.benchmark.training import compiling, disk, overlap
from lrladder.benchmark.training.corpus import Corpus, prepare
from lrladder.benchmark.training.site import Machines, Site
from lrladder.benchmark.training.text.progress import shown
from lrladder.benchmark.training.text.words import sentences
from lrladder.benchmark.training.worker import WorkerSetup

INNER = (
    "trials",
    "logs",
    "trunks",
    disk.WEIGHTS,
    "tensorboard",
    "wandb",
    "mlflow",
    "report",
)  # folders that a study creates in its folder


@dataclass(frozen=True)
class Session:
    """An open study folder, locked by this process. `corpus` and `site` None: it trains nothing.

    `facts` and `environment` say what the runs were trained on, for the results.
    """

    study: StudyConfig
    out: Path
    corpus: Corpus | None
    digest: str  # of the corpus
    facts: Mapping[str, object]
    environment: Mapping[str, str]
    store: Store
    site: Site | None
    console: Console
    not_trained: dict[str, Trial] = field(default_factory=dict)  # by id, where nothing is trained: what must be first

    @property
    def corpus_tokens(self) -> int | None:
        return None if self.corpus is None else len(self.corpus.train)

    @property
    def workers(self) -> int:
        """Number of trials that train at the same time."""
        return 1 if self.site is None else self.site.machines.workers

    @contextmanager
    def lab(self, *, planned: Iterable[Work]) -> Iterator[tuple[TrainedLab, Progress]]:
        """A lab with its workers, and the display of its progress."""
        progress = Progress(self.console, planned=planned, workers=self.workers)
        if self.corpus is None or self.site is None:
            yield self._lab(NoTrainer(self.not_trained), progress), progress
            return
        executor = self.site.executor(self._setup(self.corpus), self.store, progress.say)
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
        """That of the site; where nothing is trained, that of the runs that were trained here before."""
        if self.site is None:
            for trial, _ in self.store.all():
                if trial.corpus_digest == self.digest != self.study.lab.digest:
                    return trial.precision
        return "bf16" if self.site is not None and self.site.machines.gpus else "fp32"

    def _setup(self, corpus: Corpus) -> WorkerSetup:
        kept = frozenset(rung.shape for rung in self.study.rungs if rung.part == "target")
        seq_len, documents = self.study.base.shape.seq_len, self.study.corpus.val_documents
        weights = self.out / disk.WEIGHTS if self.study.training.keep_weights != "none" else None
        return WorkerSetup(corpus.verified, seq_len, documents, self.out / "trunks", kept, weights)


def _require_devices(study: StudyConfig, machines: Machines) -> None:
    """Raises InputError if a trial needs more devices than there are."""
    kind = "GPUs" if machines.gpus else "processes"
    for rung in study.rungs:
        needed = study.training_of(rung).devices
        if needed > machines.devices:
            raise InputError(
                f"training.devices: rung {rung.name} needs {needed} {kind}, but {machines.called} has "
                f"{machines.devices}; lower devices{machines.more.format(needed)}"
            )


@contextmanager
def open_session(
    study: StudyConfig, out: Path, *, workers: int | None, change: Callable[[], None] | None = None
) -> Iterator[Session]:
    """Open or create a study's folder. Raises InputError for bad input.

    `change` assigns the folder to this config. It is called under the lock, once the corpus is known to suffice.
    """
    refuse_older(out)
    if study.trained_here:
        _require_settings(study)
    with open_site(study.executor, workers) if study.trained_here else nullcontext() as site:
        if site is not None:
            _require_trainer(study, site.machines)
        with _open(study, out, site, change) as session:
            yield session


@contextmanager
def _open(study: StudyConfig, out: Path, site: Site | None, change: Callable[[], None] | None) -> Iterator[Session]:
    make_folder(out)
    console = make_console()
    with lock(out):
        for name in INNER:
            require_inner(out / name)
        corpus = _prepared(study, console) if site is not None else None
        if change is not None:
            change()
        digest = study.lab.digest if corpus is None else corpus.digest
        store = Store.open(out, config_digest=study.digest, corpus_digest=digest)
        if store.mended:
            console.print(
                f"{store.mended} trials were missing or different in store.sqlite; they were taken from trials/."
            )
        write_config(study, out)
        if site is not None:
            choice.prepare(out)
        facts = _elsewhere(study) if corpus is None else {**corpus.manifest, **_mixed(study)}
        machine = {} if site is None else {**environment(gpus=site.machines.gpus), **site.machines.facts}
        yield Session(study, out, corpus, digest, facts, machine, store, site, console)


def _require_settings(study: StudyConfig) -> None:
    """Raises InputError for a bad choice in the environment, which a worker would refuse, or one that does not fit."""
    if study.training.keep_weights != "none" and not study.executor.sees_out:
        raise InputError(
            "training.keep_weights: weights are kept in OUT, which all machines must see; leave out "
            "executor.checkpoints, so that the checkpoints are in OUT too, or remove keep_weights"
        )
    choice.chosen()
    compiling.chosen()
    allowed_silence()


def _require_trainer(study: StudyConfig, machines: Machines) -> None:
    """Raises InputError if the machines cannot train the study."""
    if study.expert_backend == "megablocks" and machines.no_megablocks:
        raise InputError(machines.no_megablocks)
    _require_devices(study, machines)


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
        yield Session(study, folder, None, digest, facts, before.environment, store, None, Console(quiet=True))


def write_config(study: StudyConfig, out: Path) -> None:
    """Write the resolved config, which can be run again."""
    write_text(out / "config.yaml", yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))
