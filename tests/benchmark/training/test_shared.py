"""Checkpoints that several machines see: an attempt that was given up writes no more, and a URL serves as a folder."""

import uuid
from pathlib import Path

import pytest

from lrladder.benchmark.training.sealed import Sealed
from lrladder.benchmark.training.shared import Sharing, Superseded
from lrladder.benchmark.training.train import train
from tests.benchmark.training.rank_cases import KILLED_AT, killed
from tests.benchmark.trials import BATCH, no_log, outcome, tiny_corpus, tiny_trial


def _sealed(folder: Path, attempt: int | None, url: str | None = None) -> Sealed:
    return Sealed(folder, "run", [].append, Sharing(attempt, url))


def _write(files: Sealed, data: bytes) -> None:
    files.write(lambda file: file.write(data))


def _read(files: Sealed) -> list[bytes]:
    return [path.read_bytes() for path in files.whole()]


def test_an_attempt_that_came_back_is_refused(tmp_path: Path) -> None:
    lost, later = _sealed(tmp_path, 3), _sealed(tmp_path, 4)
    lost.claim()
    _write(lost, b"of 3")
    later.claim()
    assert _read(later) == [b"of 3"]  # it goes on from there
    with pytest.raises(Superseded, match="belongs to attempt 4, and this is 3"):
        _write(lost, b"late")
    with pytest.raises(Superseded):
        lost.claim()
    _write(later, b"of 4")
    assert _read(later) == [b"of 4", b"of 3"]


def test_an_attempt_that_loses_its_files_while_it_writes_leaves_them_as_they_are(tmp_path: Path) -> None:
    lost, later = _sealed(tmp_path, 1), _sealed(tmp_path, 2)
    lost.claim()
    _write(lost, b"whole")
    with pytest.raises(Superseded):
        lost.write(lambda file: (file.write(b"late"), later.claim()))
    assert _read(later) == [b"whole"]


def test_a_local_run_takes_over_from_a_cluster_and_the_reverse(tmp_path: Path) -> None:
    on_ray, local = _sealed(tmp_path, 7), _sealed(tmp_path, None)
    on_ray.claim()
    _write(on_ray, b"cluster")
    local.claim()
    _write(local, b"local")
    with pytest.raises(Superseded):
        _write(on_ray, b"late")
    again = _sealed(tmp_path, 8)
    again.claim()
    assert _read(again) == [b"local", b"cluster"]


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/trunks"


def test_files_at_a_url_reach_a_machine_that_shares_no_folder(url: str, tmp_path: Path) -> None:
    there, here = _sealed(tmp_path / "there", 1, url), _sealed(tmp_path / "here", 2, url)
    there.claim()
    for data in (b"one", b"two", b"three"):
        _write(there, data)
    here.claim()
    assert _read(here) == [b"three", b"two"]
    with pytest.raises(Superseded):
        _write(there, b"late")
    here.write(lambda file: file.write(b"alone"), alone=True)
    fresh = _sealed(tmp_path / "fresh", 3, url)
    fresh.claim()
    assert fresh.any() and _read(fresh) == [b"alone"]


def test_half_a_file_at_a_url_is_not_used(url: str, tmp_path: Path) -> None:
    import fsspec

    there, here = _sealed(tmp_path / "there", 1, url), _sealed(tmp_path / "here", 2, url)
    there.claim()
    for data in (b"one", b"two"):
        _write(there, data)
    files, root = fsspec.core.url_to_fs(url)
    files.pipe_file(f"{root}/run.1.pt", b"t")
    here.claim()
    assert _read(here) == [b"one"]


def test_a_trial_goes_on_from_a_checkpoint_at_a_url(url: str, tmp_path: Path) -> None:
    trial, corpus = tiny_trial(), tiny_corpus(tmp_path)
    killed(trial, tmp_path / "there", corpus=corpus, sharing=Sharing(1, url))
    rows: list[dict[str, object]] = []
    found = train(trial, corpus, log=rows.append, trunks=tmp_path / "here", sharing=Sharing(2, url))
    assert {"continued_from_tokens": KILLED_AT * BATCH} in rows
    assert [outcome(m) for m in found] == [outcome(m) for m in train(trial, corpus, log=no_log)]
