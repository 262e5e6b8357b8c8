"""results.json is read piece by piece as it is read whole; what is laid out otherwise, or too large, is refused."""

import json
from pathlib import Path

import pytest

from lrladder.benchmark.reading import TooLarge
from lrladder.benchmark.studies import layout
from lrladder.benchmark.studies.layout import laid_out, pieces, read_results, read_whole
from lrladder.benchmark.studies.regret.results import RegretResults
from tests.faults.refusals import Refusals
from tests.reports.synthetic import build_results, watched_results

RESULTS = {
    "plain": build_results(),
    "with metrics": watched_results(),
    "without readings": build_results(measurements=()),
}


def as_before(results: RegretResults) -> str:
    """The text that earlier programs of this schema wrote, with a field a line."""
    return json.dumps(json.loads(results.to_json()), indent=2)


@pytest.mark.parametrize("results", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize(
    "write", [RegretResults.to_json, as_before, lambda results: json.dumps(json.loads(as_before(results)))]
)
@pytest.mark.parametrize("piece", [1, 3, 256])
def test_pieces_are_the_whole(
    results: RegretResults, write: object, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "PIECE", piece)
    path = tmp_path / "results.json"
    path.write_text(write(results))  # type: ignore[operator]
    assert read_results(path, RegretResults) == results
    assert read_whole(path) == json.loads(results.to_json())
    laid = laid_out(path)
    if laid is not None:
        readings = [reading for found in pieces(path, laid) for reading in found]
        assert {**laid.document, "measurements": readings} == read_whole(path)


def test_both_layouts_with_readings_are_known(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for text in (build_results().to_json(), as_before(build_results())):
        path.write_text(text)
        assert laid_out(path) is not None


def test_a_head_that_is_longer_than_what_is_read_first_is_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    path.write_text(build_results().to_json())
    known = laid_out(path)
    assert known is not None and known.start > 10
    for first in (1, known.start - len(layout.START) // 2, known.start + 1):  # before, within and after its end
        monkeypatch.setattr(layout, "FIRST_BYTES", first)
        assert laid_out(path) == known


def test_a_study_of_many_readings_is_read_beyond_the_bound_of_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    path.write_text(build_results().to_json())
    monkeypatch.setattr(layout, "RESULTS_BYTES", 1000)
    assert read_results(path, RegretResults) == build_results()
    path.write_text(json.dumps(json.loads(build_results().to_json())))
    with pytest.raises(TooLarge):
        read_results(path, RegretResults)


@pytest.mark.parametrize(("bound", "most"), [("MOST_BYTES", 1000), ("MOST_METRICS", 10), ("LONGEST", 100)])
def test_the_memory_is_bounded(bound: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    path.write_text(watched_results().to_json())
    monkeypatch.setattr(layout, bound, most)
    with pytest.raises(TooLarge):
        read_results(path, RegretResults)


TEXT = build_results().to_json()
AT = TEXT.index('"seed": ', TEXT.index('"measurements"')) + len('"seed": ')
BROKEN = {
    "a brace too few": TEXT.replace('"},\n    {', '",\n    {', 1),
    "not a list": TEXT.replace("\n    {", "\n    {{", 1),
    "nested": TEXT[:AT] + "[" * 100_000 + TEXT[AT:],
    "a long integer": TEXT[:AT] + "9" * 5000 + TEXT[AT:],
    "no text": TEXT[:AT] + "\udcff" + TEXT[AT:],
    "the rest of it": TEXT.replace('\n  ],\n  "config"', '\n    more\n  ],\n  "config"'),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_damaged_readings_are_one_line(text: str, tmp_path: Path, refused: Refusals) -> None:
    (tmp_path / "results.json").write_bytes(text.encode(errors="surrogateescape"))
    assert "results.json cannot be read" in refused("report", str(tmp_path))
