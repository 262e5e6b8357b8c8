"""Published sweeps: fetched once from a pinned commit, checked by digest, and read as the tables that we know.

A repository on this disk stands in for those of the web, which no test reaches.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lrladder.benchmark.cli import app, main
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs import fetch, published_sweeps, replay
from lrladder.benchmark.own_runs.fetch import PublishedFile, fetched
from lrladder.benchmark.own_runs.published_sweeps import SWEEPS, PublishedSweep
from lrladder.benchmark.own_runs.replay import Replay
from lrladder.benchmark.own_runs.runs import Runs, load_runs
from lrladder.paradigms.registry import NAMED
from tests.benchmark.own_runs.run_tables import table
from tests.paths import SHARED

TEXT = "a,b\n1,2\n"
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()
Publish = Callable[[str], PublishedFile]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LRLADDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Commits a file to a repository that answers as those of the web do."""
    folder = tmp_path / "repository"

    def git(*arguments: str) -> str:
        call = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()

    def commit(text: str) -> PublishedFile:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "runs.csv").write_text(text)
        git("init", "-q")
        for name in ("allowFilter", "allowAnySHA1InWant"):
            git("config", f"uploadpack.{name}", "true")
        git("add", ".")
        git("commit", "-q", "-m", "a")
        return PublishedFile(folder.as_uri(), git("rev-parse", "HEAD"), "data/runs.csv")

    return commit


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_file_is_fetched_once_and_then_read_from_the_cache(
    publish: Publish, cache: Path, tmp_path: Path, digest: str | None
) -> None:
    file = publish(TEXT)._replace(sha256=digest)
    publish("a newer version")
    assert fetched(file, cache).read_text() == TEXT
    shutil.rmtree(tmp_path / "repository")
    assert fetched(file, cache).read_text() == TEXT


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_damaged_file_is_fetched_again(publish: Publish, cache: Path, digest: str | None) -> None:
    file = publish(TEXT)._replace(sha256=digest)
    fetched(file, cache).write_text("a,b\n1,3\n")
    assert fetched(file, cache).read_text() == TEXT


def test_another_content_than_the_pinned_one_is_refused_and_not_kept(publish: Publish, cache: Path) -> None:
    file = publish(TEXT)._replace(sha256="0" * 64)
    with pytest.raises(InputError, match=f"SHA-256 {DIGEST}, not 0000"):
        fetched(file, cache)
    assert not list(cache.rglob("*.csv"))


def test_what_cannot_be_fetched_is_one_line(publish: Publish, cache: Path, tmp_path: Path) -> None:
    file = publish(TEXT)
    for wrong in (
        file._replace(repository=(tmp_path / "nowhere").as_uri()),
        file._replace(commit="0" * 40),
        file._replace(path="data/none.csv"),
    ):
        with pytest.raises(InputError, match=r"cannot be read .* without a network, copy .*published") as refused:
            fetched(wrong, cache)
        assert "\n" not in str(refused.value)


def test_without_git_it_says_so(publish: Publish, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="git is not installed"):
        fetched(PublishedFile("https://x.y", "0" * 40, "a.csv"), cache)


def test_a_call_inside_another_repository_leaves_it_alone(
    publish: Publish, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(TEXT)
    for name in fetch.ELSEWHERE:
        monkeypatch.setenv(name, str(tmp_path / "other"))
    assert fetched(file, cache).read_text() == TEXT
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", SWEEPS)
def test_what_is_pinned_is_whole(name: str) -> None:
    for file, _ in SWEEPS[name].files:
        assert file.repository.startswith("https://github.com/")
        assert re.fullmatch("[0-9a-f]{40}", file.commit)
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
    assert len({(file.repository, file.commit) for file, _ in SWEEPS[name].files}) == 1


def test_without_a_network_the_command_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = PublishedFile((tmp_path / "nowhere").as_uri(), "0" * 40, "a.csv")
    monkeypatch.setattr(published_sweeps, "SWEEPS", {"steplaw": PublishedSweep("a paper", ((gone, lambda t: t),))})
    monkeypatch.setattr(sys, "argv", ["lrladder", "replay", "steplaw"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lrladder: {gone.repository} cannot be read")


def test_a_file_of_that_name_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("steplaw").write_text(TEXT)
    assert published_sweeps.fetched_sweep(Path("steplaw")) is None


def step_law(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs as Step Law's files have them: sequences in a batch, LRs with four digits."""
    digits = runs["lr"].map(lambda lr: float(f"{lr:.4g}"))
    given = {"N": runs["n_params"], "Na": runs["n_active"], "D": runs["tokens"], "bs": runs["batch_tokens"] // 2048}
    return pd.DataFrame({**given, "lr": digits, "loss": 99.0, "smooth loss": runs["loss"], "exp_name": "x"})


def oellm(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs as OpenEuroLLM's file has them."""
    given = {"N": runs["n_params"], "D": runs["tokens"], "gbsz": runs["batch_tokens"] // 4096, "lr": runs["lr"]}
    return pd.DataFrame({"job_name": "x", **given, "loss": runs["loss"], "loss_se": 0.0})


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="needs the published sweeps in ../shared/data")
@pytest.mark.parametrize(
    ("name", "place", "known", "as_published"),
    [
        ("steplaw", 0, "steplaw_dense", step_law),
        ("steplaw", 1, "steplaw_moe", step_law),
        ("openeurollm", 0, "openeurollm_dense", oellm),
    ],
)
def test_a_published_file_is_read_as_the_table_that_we_know(
    name: str, place: int, known: str, as_published: Callable[[pd.DataFrame], pd.DataFrame], tmp_path: Path
) -> None:
    path = tmp_path / "published.csv"
    as_published(pd.read_csv(SHARED / "data" / f"{known}.csv")).to_csv(path, index=False)
    found, wanted = (
        load_runs(source).frame.drop(columns=["row", "log"])
        for source in (published_sweeps._read(path, SWEEPS[name].files[place][1]), SHARED / "data" / f"{known}.csv")
    )
    np.testing.assert_allclose(found.lr, wanted.lr, rtol=1e-6)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, rtol=1e-6)


def test_the_command_fetches_and_draws_the_frontier(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = table().assign(batch_tokens=4096 * 64)
    file = publish(oellm(runs).to_csv(index=False))
    sweep = PublishedSweep("a paper", ((file, SWEEPS["openeurollm"].files[0][1]),), ("fitting",))
    monkeypatch.setattr(published_sweeps, "SWEEPS", {"openeurollm": sweep})
    asked: list[tuple[Sequence[float], set[str]]] = []

    def quick(runs: Runs, **given: Any) -> Replay:
        asked.append((given["budgets"], set(given["strategies"])))
        return scored(runs, strategies=["economy"], budgets=[0.1])

    scored = replay.replay
    monkeypatch.setattr(replay, "replay", quick)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["replay", "openeurollm", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert asked == [(published_sweeps.BUDGETS, set(NAMED) - {"fitting"})]
    assert "fitting was fitted to these runs" in " ".join(done.stdout.split())
    assert "Frontier" in done.stdout and "economy@0.1" in done.stdout
    direct = quick(load_runs(runs.assign(family="dense")), budgets=(), strategies=())
    stored = Replay.from_json((out / "replay.json").read_text())
    assert stored.targets == direct.targets
    assert stored.flags[0] == f"{len(runs):,} runs of a paper, from {file.repository} at {file.commit[:12]}"


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT)
    with pytest.raises(InputError, match="no column 'N'"):
        published_sweeps._read(tmp_path / "a.csv", SWEEPS["openeurollm"].files[0][1])
