"""Binary files with any bytes changed: what is read from them is what was written, or nothing.

LRLADDER_FUZZ is how many inputs each test makes, 100 without it.
"""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lrladder.benchmark.config.parts import CorpusConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.stored_trials import read_trials
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.studies.logged import LogReader
from lrladder.benchmark.training.checkpoints import Known, Position, Stored, load, save
from lrladder.benchmark.training.corpus import prepare
from lrladder.benchmark.training.entry import verify
from lrladder.benchmark.training.sources import TokenFiles
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial

EXAMPLES = int(os.environ.get("LRLADDER_FUZZ", "100"))


def changed(data: bytes, rng: random.Random) -> bytes:
    """One to three pieces flipped, overwritten, taken out, doubled or cut off."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(out) + 1)
        end = min(len(out), start + rng.choice((1, 2, 8, 100)))
        piece = rng.choice((b"", rng.randbytes(end - start), bytes(end - start), bytes(out[start:end]) * 2))
        out[start : rng.choice((end, end, end, len(out)))] = piece
    return bytes(out)


def each(paths: Sequence[Path], check: Callable[[], None]) -> None:
    """Call `check` with one of the files changed, many times; the files are whole again each time."""
    whole = {path: path.read_bytes() for path in paths}
    for seed in range(EXAMPLES):
        rng = random.Random(seed)
        for path, data in whole.items():
            path.write_bytes(data)
        path = rng.choice(paths)
        path.write_bytes(changed(whole[path], rng))
        check()


def at(step: int) -> Stored:
    return Stored(Known(Position(step, [1.0] * step, {}), None, None, {}, None), None, None)


def test_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    for step in (1, 2):
        save(path, at(step), say=print)
    found = set()

    def check() -> None:
        stored = load(path, say=lambda sentence: None)
        assert stored in (at(1), at(2), None)
        found.add(stored.known.now.step if stored else 0)

    each([path.with_suffix(suffix) for suffix in (".0.pt", ".1.pt", ".json")], check)
    assert found == {0, 1, 2}


def test_corpora(tmp_path: Path) -> None:
    for name, count in (("train-0", 300), ("train-1", 300), ("val", 200)):
        (np.arange(count) % 256).astype("<u2").tofile(tmp_path / f"{name}.bin")
    config = CorpusConfig(
        train_tokens=(f"{tmp_path}/train-*.bin",), val_tokens=(f"{tmp_path}/val.bin",), vocab_size=300, val_documents=2
    )
    corpus = prepare(config, seq_len=8, cache=tmp_path / "cache")
    places = TokenFiles.find(config).places

    def check() -> None:
        found = verify(corpus.path, places, config.vocab_size)
        assert found is None or found.digest == corpus.digest

    each([corpus.path / "manifest.json", corpus.path / "train.bin"], check)


def test_stores(tmp_path: Path) -> None:
    """With its logs a store gives what they hold; without them, rows that are whole, or a refusal."""
    trials = [tiny_trial(seed=seed) for seed in range(5)]
    wanted = {trial.id: fake_measurements(trial) for trial in trials}
    store = Store.open(tmp_path, config_digest="c", corpus_digest="d")
    for trial in trials:
        store.put(trial, fake_measurements(trial))
    store.close()
    (path,) = tmp_path.glob("store.sqlite")
    logs = tmp_path / "logs" / "trials"
    logs.parent.mkdir()
    for trial in trials:
        TrialLog(logs.parent, trial).finish(fake_measurements(trial))

    def check() -> None:
        try:
            found = read_trials(tmp_path)
        except InputError:
            found = []
        assert all(wanted[trial.id] == measurements for trial, measurements in found)
        LogReader(tmp_path).read()
        (tmp_path / "trials").symlink_to(logs)
        assert {trial.id: measurements for trial, measurements in read_trials(tmp_path)} == wanted
        (tmp_path / "trials").unlink()

    each([path], check)
