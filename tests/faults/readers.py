"""Every reader of files, given whole files in which something was changed. `python -m tests.faults.readers 1000000`.

A reader reads a file or refuses it by InputError; anything else is written down with its input. A test runs a sample.
Names after the number choose readers.
"""

import json
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lrladder.benchmark.config.text import preset_names, read_preset
from lrladder.benchmark.design.public_config import read_public
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.stored_trials import read_trials
from lrladder.benchmark.lab.trial_log import TrialLog, read_state
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.recommend.run_log import read_run_log
from lrladder.benchmark.studies.kinds import load_study
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.stored import load_results, schema_of
from lrladder.benchmark.studies.written import read_written
from lrladder.benchmark.training.checkpoints import Known, Position, Stored, load, save
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.own_runs.run_tables import table
from tests.benchmark.trials import tiny_trial
from tests.reports.synthetic import build_results

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 2**63, 10**30, 2.5, -0.5, 1e-320, 1e308, float("nan"), float("inf")),
    *("", "nan", "1e9", "0x10", "1_000", "1:30", "2024-13-45", "../x", "a\nb", "\x1b[2J", "\u202e", "\0", "é"),
    *("9" * 30, [], {}, [[]], [1, 2], {"": 1}, {"kind": "x"}, ["a"]),
)
PIECES = tuple(
    piece.encode()
    for piece in (
        *(",", ",,,,", "\n", "\n\n", "\r", "\t", ";", '"', "'", "\0", "\ufeff", "[", "]", "{", "}", ":", ": ", "- "),
        *("null", "true", "~", "NaN", "-Infinity", "1e999", "9" * 5000, "-", "1e-9999", "!!int x", "!!bool 5", "*a"),
        *("&a ", "<<: ", "!!python/object:os.system ", "? ", "| ", "[" * 3000, '{"a":' * 3000, "\x1b[2J", "\\u202e"),
    )
)


class Reader(NamedTuple):
    """What reads one file. `seeds` are whole files; `weight` is its share of the inputs."""

    name: str
    file: Path
    seeds: tuple[bytes, ...]
    read: Callable[[], object]
    weight: int


def readers(folder: Path) -> list[Reader]:
    """All readers, each with a folder of its own below `folder`."""
    makers = (
        _config,
        _table,
        _json_lines,
        _parquet,
        _model,
        _run_log,
        _trial_log,
        _results,
        _head,
        _store,
        _checkpoint,
    )
    found = []
    for make in makers:
        own = folder / make.__name__
        own.mkdir()
        found.append(make(own))
    return found


def _config(own: Path) -> Reader:
    file = own / "x.yaml"
    seeds = tuple(read_preset(name).encode() for name in preset_names())
    return Reader("config", file, seeds, lambda: load_study(str(file)), 6)


FRAME = table(sizes=(10**7, 4 * 10**7), horizons=(10**9,)).assign(seed=0, batch_tokens=10**6, family="a").iloc[::3]


def _table(own: Path) -> Reader:
    file = own / "runs.csv"
    seeds = tuple(FRAME.to_csv(index=False, sep=separator).encode() for separator in ",;\t")
    return Reader("CSV", file, seeds, lambda: load_runs(file), 3)


def _json_lines(own: Path) -> Reader:
    file = own / "runs.jsonl"
    seeds = (FRAME.to_json(orient="records", lines=True).encode(), FRAME.to_json(orient="records").encode())
    return Reader("JSON table", file, seeds, lambda: load_runs(file), 3)


def _parquet(own: Path) -> Reader:
    file = own / "runs.parquet"
    FRAME.to_parquet(file)
    return Reader("Parquet table", file, (file.read_bytes(),), lambda: load_runs(file), 6)


def _model(own: Path) -> Reader:
    """The config.json of a model, as `design` reads it."""
    file = own / "config.json"
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    seeds = (json.dumps({"model_type": "mixtral", "vocab_size": 1000, "num_local_experts": 4, **sizes}).encode(),)
    return Reader("model", file, seeds, lambda: read_public(file), 6)


def _run_log(own: Path) -> Reader:
    file = own / "run.jsonl"
    rows = [{"step": n, "tokens": 64 * n, "train/loss": 4 - n / 9, "grad_norm": 1.0} for n in range(5)]
    seeds = ("\n".join(map(json.dumps, rows)).encode(),)
    return Reader("run log", file, seeds, lambda: read_run_log(file), 16)


def _trial_log(own: Path) -> Reader:
    trial = tiny_trial()
    file = own / "trials" / f"{trial.id}.jsonl"
    log = TrialLog(own, trial)
    log.write({"step": 1, "tokens": 64, "loss": 4.0})
    log.finish(fake_measurements(trial))

    def read() -> None:
        state = read_state(file)
        if state is not None and state.sealed:
            assert list(state.measurements) == fake_measurements(trial)

    return Reader("trial log", file, (file.read_bytes(),), read, 50)


def _documents(own: Path) -> tuple[Path, tuple[bytes, ...]]:
    """A whole document of a study, as short as it gets."""
    whole = json.loads(build_results(config=load_config("smoke").model_dump(mode="json")).to_json())
    short = _first(whole, 2)
    return own / "results.json", (json.dumps(short, indent=2).encode(), json.dumps(whole, indent=2).encode())


def _first(data: Any, count: int) -> Any:
    if isinstance(data, dict):
        return {key: _first(value, count) for key, value in data.items()}
    return [_first(value, count) for value in data[:count]] if isinstance(data, list) else data


def _results(own: Path) -> Reader:
    file, seeds = _documents(own)
    return Reader("results", file, seeds[:1], lambda: load_results(own, REGRET), 35)


def _head(own: Path) -> Reader:
    """What `status` and `index` read of results."""
    file, seeds = _documents(own)

    def read() -> None:
        schema_of(own)
        read_written(own, with_measurements=False)

    return Reader("head of results", file, seeds[:1], read, 25)


def _store(own: Path) -> Reader:
    trials = [tiny_trial(seed=seed) for seed in range(2)]
    wanted = {trial.id: fake_measurements(trial) for trial in trials}
    store = Store.open(own, config_digest="c", corpus_digest="d")
    for trial in trials:
        store.put(trial, wanted[trial.id])
    store.close()
    file = own / "store.sqlite"

    def read() -> None:
        assert all(wanted[trial.id] == measurements for trial, measurements in read_trials(own))

    return Reader("store", file, (file.read_bytes(),), read, 25)


def _checkpoint(own: Path) -> Reader:
    """The manifest and the files that it names, in one file here: what is changed is cut up again."""
    stored = [Stored(Known(Position(step, [1.0], {}), None, None, {}, None), None, None) for step in (1, 2)]
    for one in stored:
        save(own / "run.pt", one, say=print)
    names = ("run.json", "run.0.pt", "run.1.pt")
    whole = {name: (own / name).read_bytes() for name in names}
    rng = random.Random(0)
    file = own / "changed"

    def read() -> None:
        for name, data in whole.items():
            (own / name).write_bytes(data)
        name = rng.choice(names)
        (own / name).write_bytes(changed(whole[name], rng))
        assert load(own / "run.pt", say=lambda sentence: None) in (*stored, None)

    return Reader("checkpoint", file, (b"{}",), read, 25)


def changed(data: bytes, rng: random.Random) -> bytes:
    """A file in which a value, or one to three pieces, are others."""
    if rng.random() < 0.5 and (found := _with_other_values(data, rng)) is not None:
        return found
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(out) + 1)
        end = min(len(out), start + rng.choice((0, 1, 2, 5, 20, 200)))
        piece = rng.choice((b"", rng.randbytes(end - start), bytes(out[start:end]) * 2, rng.choice(PIECES)))
        out[start : rng.choice((end, end, end, end, len(out)))] = piece
    return bytes(out)


def _with_other_values(data: bytes, rng: random.Random) -> bytes | None:
    """The document with one to three other values; None for a file that is none. A log is changed in one line."""
    try:
        lines = data.decode().splitlines()
        if lines and all(line.startswith("{") for line in lines if line):
            place = rng.randrange(len(lines))
            lines[place] = json.dumps(_replaced(json.loads(lines[place]), rng))
            return "\n".join(lines).encode()
        text = data.decode()
        document = json.loads(text) if text[:1] in "{[" else yaml.load(text, yaml.CSafeLoader)
        return json.dumps(_replaced(document, rng), indent=2).encode() if isinstance(document, dict | list) else None
    except Exception:  # what was changed before need not be a document any more, for many reasons
        return None


def _replaced(document: Any, rng: random.Random) -> Any:
    for _ in range(rng.randint(1, 3)):
        value = document
        while keys := list(value) if isinstance(value, dict) else list(range(len(value))):
            key = rng.choice(keys)
            if not isinstance(value[key], dict | list) or rng.random() < 0.2:
                _replace(value, key, rng)
                break
            value = value[key]
    return document


def _replace(value: Any, key: Any, rng: random.Random) -> None:
    match rng.randrange(10):
        case 0:
            del value[key]
        case 1 if isinstance(value, dict):
            value[rng.choice(("x", "kind", "schema", f"{key}s", ""))] = rng.choice(ODD)
        case _:
            value[key] = json.loads(json.dumps(rng.choice(ODD)))  # a copy: lists are changed in place


class Fault(NamedTuple):
    """An input that a reader neither read nor refused."""

    reader: str
    seed: int
    said: str


def faults(reader: Reader, seeds: Sequence[int]) -> Iterator[Fault]:
    """Read one changed file for each seed."""
    for seed in seeds:
        rng = random.Random(seed)
        reader.file.write_bytes(changed(rng.choice(reader.seeds), rng))
        try:
            reader.read()
        except InputError:
            pass
        except Exception:
            yield Fault(reader.name, seed, traceback.format_exc())


def campaign(reader: Reader, num_inputs: int) -> None:
    """Print the figures of a reader, and each kind of fault once."""
    began = time.monotonic()
    found = list(faults(reader, range(num_inputs)))
    print(f"{reader.name}: {num_inputs:,} inputs, {time.monotonic() - began:.0f} s, {len(found)} faults", flush=True)
    kinds: dict[str, list[Fault]] = {}
    for fault in found:
        kinds.setdefault(fault.said.splitlines()[-1][:80], []).append(fault)
    for same in kinds.values():
        print(f"--- {len(same)} times, first at seed {same[0].seed}:\n{same[0].said}", flush=True)


def main(num_inputs: int, only: Sequence[str]) -> None:
    """Give the readers so many inputs in all."""
    warnings.simplefilter("error")  # as in the tests
    with tempfile.TemporaryDirectory() as made:
        chosen = [reader for reader in readers(Path(made)) if not only or reader.name in only]
        for reader in chosen:
            campaign(reader, num_inputs * reader.weight // sum(reader.weight for reader in chosen))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
