"""Tripwires: a healthy run stays in the bands of its ladder, a sick one is told in one line, whatever its log is."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lrladder.benchmark.cli import app
from lrladder.benchmark.commands.watch import follow_log, parse_log_columns
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.recommend.ladder_logs import ladder_of
from lrladder.benchmark.recommend.run_log import RunLog, read_run_log
from lrladder.benchmark.recommend.sanity import Target
from lrladder.benchmark.recommend.study_price import bands_in
from lrladder.benchmark.recommend.tripwires import SHARES, Band, LadderLog, bands_of, departures
from tests.paths import ROOT

SIZES, HORIZONS, ROWS = (1e7, 3e7, 1e8), (1e9, 4e9), 200
TARGET_N, TARGET_D = 4e8, 1.6e10


def log_of(n: float, tokens: float, *, seed: int = 0, worse: float = 0.0, from_share: float = 0.0) -> RunLog:
    """A run whose loss falls with tokens and size; `worse` nats are added from a share of it on."""
    rng = np.random.default_rng(seed)
    seen = tokens * np.arange(1, ROWS + 1) / ROWS
    loss = 1.7 + 400 * n**-0.34 + 3e3 * seen**-0.4 + 0.01 * rng.standard_normal(ROWS)
    grad = 3.0 * n**-0.1 * (seen / tokens) ** -0.2 * np.exp(0.05 * rng.standard_normal(ROWS))
    return RunLog(seen, loss + worse * (seen >= from_share * tokens), grad)


@pytest.fixture(scope="module")
def ladder() -> list[LadderLog]:
    runs = [(n, tokens) for n in SIZES for tokens in HORIZONS]
    return [LadderLog(n, tokens, log_of(n, tokens, seed=i)) for i, (n, tokens) in enumerate(runs)]


@pytest.fixture(scope="module")
def bands(ladder: list[LadderLog]) -> tuple[Band, ...]:
    return bands_of(ladder, n_active=TARGET_N, tokens=TARGET_D)


def test_there_is_a_band_at_each_share(bands: tuple[Band, ...]) -> None:
    assert {(band.quantity, band.share) for band in bands} == {(q, s) for q in ("loss", "grad_norm") for s in SHARES}
    assert all(0 < band.low < band.high < math.inf and band.n == 6 for band in bands)


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_leaves_no_band(bands: tuple[Band, ...], seed: int) -> None:
    assert list(departures(log_of(TARGET_N, TARGET_D, seed=100 + seed), bands, tokens=TARGET_D)) == []


def test_a_run_that_drifts_is_told_once_when_it_leaves(bands: tuple[Band, ...]) -> None:
    sick = log_of(TARGET_N, TARGET_D, worse=1.5, from_share=0.1)
    (line,) = departures(sick, bands, tokens=TARGET_D)
    assert line.startswith("loss ")
    assert "is above its band" in line
    assert 0.099 < float(line.split(" at ")[1].split("%")[0]) / 100 < 0.13


def test_one_spike_is_no_drift_and_a_nan_is(bands: tuple[Band, ...]) -> None:
    run = log_of(TARGET_N, TARGET_D)
    run.loss[60] += 3
    assert list(departures(run, bands, tokens=TARGET_D)) == []
    run.loss[80:] = np.nan
    (line,) = departures(run, bands, tokens=TARGET_D)
    assert "is no number" in line


def test_a_wider_ladder_says_less_far_away(ladder: list[LadderLog]) -> None:
    def width(n: float) -> float:
        found = bands_of(ladder, n_active=n, tokens=TARGET_D)[0]
        return math.log(found.high / found.low)

    assert width(1e8) < width(1e9) < width(1e11)


def test_two_logs_make_no_band(ladder: list[LadderLog]) -> None:
    assert bands_of(ladder[:2], n_active=TARGET_N, tokens=TARGET_D) == ()


def rows(run: RunLog, *, names: tuple[str, str, str] = ("tokens", "loss", "grad_norm")) -> list[dict[str, float]]:
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*run, strict=True)]


def write(path: Path, run: RunLog) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows(run)))
    return path


def test_a_log_being_written_is_read_up_to_its_torn_line(tmp_path: Path) -> None:
    path = write(tmp_path / "run.jsonl", log_of(1e8, 1e9))
    path.write_text('{"trial": {"lr": 1}}\n' + path.read_text() + '\n{"tokens": 12, "lo')
    assert len(read_run_log(path).loss) == ROWS


def test_an_export_of_wandb_counts_steps(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("_step,train/loss,train/grad_norm,eval/loss\n10,3.0,0.5,\n20,2.9,,3.1\n30,nan,0.4,\n")
    with pytest.raises(InputError, match="--batch-tokens"):
        read_run_log(path)
    found = read_run_log(path, batch_tokens=1e6)
    assert found.tokens.tolist() == [1e7, 2e7, 3e7]
    assert found.loss[:2].tolist() == [3.0, 2.9]
    assert math.isnan(found.loss[2])
    assert math.isnan(found.grad_norm[1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no column loss"),
        ("loss\n2.0\n", "no column tokens or step"),
        ("tokens,loss\n1,\n", "no row with tokens and a loss yet"),
    ],
)
def test_a_log_that_says_too_little_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_run_log(path)


def table(folder: Path) -> Path:
    """A table of the ladder, each best run with its log and a worse one without."""
    lines = ["n_params,tokens,lr,loss,log"]
    for i, (n, tokens) in enumerate((n, tokens) for n in SIZES for tokens in HORIZONS):
        write(folder / f"run{i}.jsonl", log_of(n, tokens, seed=i))
        lines += [f"{n},{tokens},0.001,3.0,run{i}.jsonl", f"{n},{tokens},0.002,3.1,"]
    (folder / "runs.csv").write_text("\n".join(lines))
    return folder / "runs.csv"


def test_watch_takes_a_table_that_names_its_logs(tmp_path: Path) -> None:
    target = ["--ladder", str(table(tmp_path)), "--n-active", "4e8", "--tokens", "1.6e10"]
    healthy = write(tmp_path / "good.jsonl", log_of(TARGET_N, TARGET_D, seed=7))
    done = CliRunner().invoke(app, ["watch", str(healthy), *target])
    assert done.exit_code == 0, done.output
    assert "The run has left no band" in done.output
    sick = write(tmp_path / "bad.jsonl", log_of(TARGET_N, TARGET_D, worse=1.5, from_share=0.03))
    done = CliRunner().invoke(app, ["watch", str(sick), *target, "--follow", "--json"])
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert len(found["bands"]) == 6
    assert len(found["left"]) == 1


def test_a_table_without_logs_is_refused() -> None:
    with pytest.raises(InputError, match="add a column log"):
        ladder_of(ROOT / "docs" / "runs.csv")


def test_a_followed_log_tells_each_line_once_until_it_ends() -> None:
    states = iter([([], False), (["a"], False), (["a"], False), (["a", "b"], True)])
    heard: list[str] = []
    waits: list[int] = []
    assert follow_log(lambda: next(states), wait=lambda: waits.append(1), say=heard.append) == ["a", "b"]
    assert heard == ["a", "b"]
    assert len(waits) == 3


def test_the_columns_of_a_log_are_named_as_those_of_a_table() -> None:
    assert parse_log_columns("loss=train/loss, tokens=seen") == {"loss": "train/loss", "tokens": "seen"}
    with pytest.raises(InputError, match="write name=column"):
        parse_log_columns("loss")


def test_a_study_gives_the_logs_of_its_best_runs(tmp_path: Path) -> None:
    """A stored study, whose trials are given rows of training steps."""
    folder = tmp_path / "study"
    shutil.copytree(ROOT / "tests" / "fixtures" / "folder_v3", folder)
    for path in (folder / "trials").glob("*.jsonl"):
        head, *rest = path.read_text().splitlines()
        steps = [
            json.dumps({"step": k, "tokens": 1024 * k, "loss": 6.0 - 0.1 * k, "grad_norm": 1.0}) for k in range(33)
        ]
        path.write_text("\n".join([head, *steps, *rest]) + "\n")
    every, sp = ladder_of(folder), ladder_of(folder, arm="sp")
    assert 0 < len(sp) < len(every) < len(list((folder / "trials").iterdir()))
    for run in every:
        assert run.log.tokens.max() <= run.tokens
    bands = bands_of(every, n_active=1e5, tokens=32768)
    assert {band.share for band in bands} <= set(SHARES)
    assert bands
    target = Target(1e5, 32768)
    assert bands_in(folder, arm="sp", target=target) == bands_of(sp, n_active=1e5, tokens=32768) != ()
    with pytest.raises(InputError, match="no log of a finished run"):
        ladder_of(folder, arm="nosuch")
    assert bands_in(folder, arm="nosuch", target=target) == ()
