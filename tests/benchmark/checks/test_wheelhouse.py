"""A folder of packages is complete or says what it lacks."""

from pathlib import Path

import pytest

from lrladder.benchmark.checks.wheelhouse import missing
from lrladder.benchmark.errors import InputError

FILES = (
    "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
    "typing_extensions-4.16.0-py3-none-any.whl",
    "megablocks-0.10.0.tar.gz",
    "grouped_gemm-0.3.0.tar.gz",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).touch()
    (tmp_path / "requirements.txt").write_text("torch==2.13.0+cpu\nTyping-Extensions==4.16.0\n")
    return tmp_path


def test_a_whole_folder_lacks_nothing(folder: Path) -> None:
    assert missing(folder) == []


@pytest.mark.parametrize(
    ("gone", "said"),
    [(FILES[0], "torch==2.13.0+cpu"), (FILES[1], "Typing-Extensions==4.16.0"), (FILES[2], "megablocks")],
)
def test_what_is_not_there_is_named(gone: str, said: str, folder: Path) -> None:
    (folder / gone).unlink()
    assert missing(folder) == [said]


def test_another_version_does_not_count(folder: Path) -> None:
    (folder / FILES[1]).rename(folder / "typing_extensions-4.15.0-py3-none-any.whl")
    assert missing(folder) == ["Typing-Extensions==4.16.0"]


def test_any_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make wheelhouse"):
        missing(tmp_path)
