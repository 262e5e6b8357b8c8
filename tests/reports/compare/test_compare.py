"""Studies side by side: every score is there, losses on different text are kept apart, the page is safe and whole."""

import re
from pathlib import Path

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports import formats
from lrladder.reports.compare import page as compare_page
from lrladder.reports.compare import side_by_side
from lrladder.reports.compare.side_by_side import Comparison, Other, Study
from lrladder.reports.results_page import Held
from tests.reports.synthetic import build_results, empty_results

HOSTILE = "<script>alert('x')</script>$a_b$"


def _config(**ladder: object) -> dict[str, object]:
    return {"name": "synthetic", "corpus": {"val_documents": 256}, "ladder": {"seq_len": 128, "top_k": 2, **ladder}}


def _study(label: str, **changes: object) -> Study:
    return Study(label, build_results(**{"config": _config(), **changes}))


def _page(*studies: Study, others: tuple[Other, ...] = ()) -> str:
    return compare_page.render(Comparison(studies, others))


def test_every_score_and_conclusion_of_every_study_is_on_the_page() -> None:
    first = build_results()
    target = first.targets[0]
    moved = target.paradigms[0].model_copy(update={"regret": 0.7654, "loss": 9.8765, "n_seeds": 7})
    other = target.model_copy(update={"paradigms": (moved,), "conclusion": "another conclusion", "winner": None})
    html = _page(Study("a", first), Study("b", first.model_copy(update={"targets": (other,)})))
    for text in ("765.4", "9.8765", "n = 7", "another conclusion", first.targets[1].conclusion, "t96x3", "t128x4"):
        assert text in html
    for found in first.targets[0].paradigms:
        assert f"<b>{formats.millinats(found.regret)}</b>" in html


def test_places_are_models_not_names() -> None:
    first = build_results()
    larger = first.targets[0].model_copy(update={"n_active": 10 * first.targets[0].n_active})
    found = side_by_side.blocks([Study("a", first), Study("b", first.model_copy(update={"targets": (larger,)}))])
    assert [block.targets[1] is None for block in found] == [True, True, False]
    assert [block.place.n_active for block in found] == sorted(block.place.n_active for block in found)
    assert all(row.scores[0] is None for row in found[-1].rows)


@pytest.mark.parametrize(
    ("changes", "alike"),
    [
        ({"environment": {"cpu": "another"}, "seed_noise": 0.1}, True),
        ({"corpus_digest": "other"}, False),
        ({"corpus": {"vocab_size": 7}}, False),
        ({"config": _config(seq_len=64)}, False),
        ({"corpus_digest": ""}, False),
        ({"lab": "simulated"}, False),
    ],
)
def test_losses_on_another_scale_are_said_not_to_be_comparable(changes: dict[str, object], alike: bool) -> None:
    studies = (_study("a"), _study("b", **changes))
    assert (len(side_by_side.loss_groups(studies)) == 1) == alike
    assert ("NOT comparable" in _page(*studies)) != alike


def test_two_simulated_studies_have_two_scales() -> None:
    studies = [_study(name, lab="simulated", corpus_digest="") for name in "ab"]
    assert side_by_side.loss_groups(studies) == [["a"], ["b"]]


def test_differences_are_exactly_the_keys_that_differ() -> None:
    rungs = [{"name": "p", "width": 32, "batch_tokens": None}, {"name": "t", "width": 64}]
    wider = [rungs[0], {"name": "t", "width": 96}]
    one = _study("a", config=_config(rungs=rungs), environment={"torch": "2.8.0", "cpu": "x"})
    two = _study("b", config=_config(rungs=wider, seq_len=64), environment={"torch": "2.9.0", "cpu": "x", "new": "y"})
    found = {(d.part, d.key): d.values for d in side_by_side.differences([one, two])}
    assert found == {
        ("config", "ladder.rungs.t"): ("width 64", "width 96"),
        ("config", "ladder.seq_len"): ("128", "64"),
        ("versions and hardware", "torch"): ("2.8.0", "2.9.0"),
        ("versions and hardware", "new"): (side_by_side.ABSENT, "y"),
    }
    assert side_by_side.differences([one, one]) == ()


def test_frame_pools_nothing() -> None:
    one, two = _study("a"), _study("b", corpus_digest="other")
    frame = side_by_side.frame([one, two])
    assert list(frame["study"]) == ["a"] * 4 + ["b"] * 4
    assert list(frame["loss_group"]) == [1] * 4 + [2] * 4
    assert len(side_by_side.frame([Study("e", empty_results())])) == 0


def test_a_study_without_targets_and_one_paradigm_are_shown() -> None:
    html = _page(Study("empty", empty_results()), _study("full"))
    assert "No target has been scored." in html
    assert "partial" in html
    assert "No proposal has a regret yet." in _page(Study("e", empty_results()), Study("f", empty_results()))


def test_page_is_one_file_with_nothing_of_another() -> None:
    html = _page(_study("a"), _study("b"))
    references = re.findall(r'(?:src|href|action|data|srcset)\s*=\s*["\']?([^"\'\s>]+)', html)
    references += re.findall(r"url\(\s*[\"']?([^)\"']+)", html) + re.findall(r"@import\s+(\S+)", html)
    assert [r for r in references if not r.startswith(("data:", "#"))] == []
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert html == _page(_study("a"), _study("b"))


def test_hostile_text_is_only_text() -> None:
    results = build_results(
        preset=HOSTILE,
        config={HOSTILE: HOSTILE},
        corpus={"source": HOSTILE},
        environment={"cpu": HOSTILE, HOSTILE: "1"},
    )
    target = results.targets[0]
    paradigm = target.paradigms[0].model_copy(update={"name": HOSTILE})
    bad = target.model_copy(
        update={"rung": HOSTILE, "conclusion": HOSTILE, "winner": HOSTILE, "paradigms": (paradigm,)}
    )
    other = Other(HOSTILE, Held(HOSTILE, HOSTILE, HOSTILE, HOSTILE))
    html = _page(Study(HOSTILE, results.model_copy(update={"targets": (bad,)})), _study("b"), others=(other,))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 12


def _saved(folder: Path, results: RegretResults) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(results.to_json())
    return folder


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [_saved(tmp_path / side / "cpu", build_results()) for side in ("left", "right")]
    assert [study.label for study in side_by_side.load(folders).studies] == ["left/cpu", "right/cpu"]


def test_page_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    comparison = Comparison((_study("a"), _study("b")), ())
    page = compare_page.write(comparison, tmp_path)
    assert compare_page.write(comparison, tmp_path) == page
    page.write_text("mine")
    with pytest.raises(InputError, match="was not written by `lrladder compare`"):
        compare_page.write(comparison, tmp_path)
    assert page.read_text() == "mine"
