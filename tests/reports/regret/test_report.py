"""The page as text: complete, safe, self-contained, the same every time."""

import base64
import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.runner import run_on
from lrladder.reports import formats
from lrladder.reports.regret import page
from tests.paths import TWO_TARGETS
from tests.reports.synthetic import build_results, diverged_results, empty_results, rungs, target

CASES = {
    "full": build_results(),
    "empty": empty_results(),
    "diverged": diverged_results(),
    "no law": build_results(law=None),
    "no targets": build_results(targets=(), complete=False, missing=("targets t96x3, t128x4",)),
    "no rungs": empty_results().model_copy(update={"rungs": (), "config": {}, "corpus": {}, "environment": {}}),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def results(request: pytest.FixtureRequest) -> RegretResults:
    found: RegretResults = request.param
    return found


def test_every_result_renders_to_one_page(results: RegretResults) -> None:
    html = page.render(results)
    assert html.count("<html") == html.count("</html>") == html.count("<h1>") == 1
    assert html.lstrip().startswith("<!DOCTYPE html>")


def test_page_refers_to_nothing_outside_itself(results: RegretResults) -> None:
    html = page.render(results)
    html = re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    references = re.findall(r'(?:src|href|action|data|srcset)\s*=\s*["\']?([^"\'\s>]+)', html)
    references += re.findall(r"url\(\s*[\"']?([^)\"']+)", html) + re.findall(r"@import\s+(\S+)", html)
    assert [r for r in references if not r.startswith(("data:", "#"))] == []


def test_the_page_lets_no_script_run_but_its_own(results: RegretResults) -> None:
    html = page.render(results)
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy[1].replace("&#43;", "+") and "default-src 'none'" in policy[1]


def test_missing_numbers_are_never_printed_as_words(results: RegretResults) -> None:
    html = page.render(results)
    outside_pre = re.sub(r"<pre>.*?</pre>", "", html, flags=re.S)
    texts = [text.strip() for text in re.findall(r">([^<>]*)<", outside_pre)]
    tokens = {word for text in texts if "loss is nan" not in text for word in re.split(r"[\s\[\],;=]+", text)}
    assert tokens.isdisjoint({"nan", "NaN", "None", "inf", "-inf"})


def test_ids_are_unique(results: RegretResults) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page.render(results))
    assert len(ids) == len(set(ids))


def test_same_results_give_the_same_bytes(results: RegretResults) -> None:
    assert page.render(results) == page.render(results)


def test_every_target_and_paradigm_has_its_numbers() -> None:
    results = build_results()
    html = page.render(results)
    for scale in results.targets:
        assert scale.conclusion in html
        assert f"<h3>{scale.rung} at 262\u202f144 tokens</h3>" in html
    assert all(html.count(f">{name}</code>") >= len(results.targets) for name in ("fitting", "mutransfer"))
    assert "[13.0, 21.0]" in html  # Fitting's regret, millinats


def test_the_recipe_to_set_stands_under_its_target() -> None:
    config = load_config(TWO_TARGETS)
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=config.base.shape.n_active)
    results = run_on(config, SimulatedLab(config.rungs, law))
    html = page.render(results)
    assert html.count("The recipe to set:") == sum(len(t.paradigms) for t in results.targets)
    for p in (p for scale in results.targets for p in scale.paradigms):
        assert p.recipe is not None
        assert all(f">{s.kind.replace('_', ' ')}</th>" in html for s in p.recipe.settings)
        assert all(f">{formats.lr(s.lr)}</td>" in html for s in p.recipe.settings)
    assert "The recipe to set" not in page.render(build_results())  # results of an older version


def test_unresolved_oracle_says_so() -> None:
    html = page.render(build_results())
    assert "at the edge of the sweep" in html
    assert "minimum bracketed" in html


def test_what_is_missing_is_listed() -> None:
    assert "nothing has been trained" in page.render(empty_results())
    assert "Missing:" not in page.render(build_results())


def test_interrupted_without_a_list_is_still_said() -> None:
    assert "This report is partial." in page.render(build_results(complete=False))


def test_law_stands_next_to_the_published_one() -> None:
    html = page.render(build_results())
    assert all(
        text in html for text in ("0.2219", "0.3509", "2601.05049", "[\u22120.470, \u22120.330]", "do not determine it")
    )
    assert 'id="fitting"' not in page.render(build_results(law=None))  # a section without a law is left out


def test_names_cannot_inject_markup() -> None:
    hostile = "<script>alert(1)</script>\"'$x_1$"
    ladder = tuple(r.model_copy(update={"name": hostile}) for r in rungs()[-1:])
    run = build_results().measurements[-1].model_copy(update={"rung": hostile, "message": hostile})
    html = page.render(
        build_results(
            preset=hostile,
            config={hostile: hostile},
            corpus={"source": hostile},
            environment={hostile: hostile},
            missing=(hostile,),
            payers={hostile: 1.0},
            rungs=ladder,
            targets=(target(ladder[0], 262144),),
            measurements=(run,),
        )
    )
    assert html.count("<script") == 1
    assert "&lt;script&gt;" in html


def test_write_replaces_the_page_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "report"
    page.write(empty_results(), folder)
    written = page.write(build_results(), folder)
    assert os.listdir(folder) == ["index.html"]
    assert written.read_text(encoding="utf-8") == page.render(build_results())


def test_failed_write_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = page.write(build_results(), tmp_path)
    before = written.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match="disk full"):
        page.write(empty_results(), tmp_path)
    assert written.read_bytes() == before
    assert os.listdir(tmp_path) == ["index.html"]


def test_the_page_says_what_the_experts_ran_on() -> None:
    results = build_results()
    measured = [
        m.model_copy(update={"expert_gemm": "torch grouped_mm", "compiled": m.seed == 0}) for m in results.measurements
    ]
    runs = {m.trial_id: m.compiled for m in measured}
    text = page.render(results.model_copy(update={"measurements": tuple(measured)}))
    assert f"torch grouped_mm ({len(runs)} runs)" in text
    assert f"{sum(runs.values())} of {len(runs)} runs" in text
    assert "torch.compile" not in page.render(results)


def test_results_of_an_older_version_are_read_and_drawn() -> None:
    data = json.loads(build_results().to_json())
    for key in ("seed_interaction", "seed_interaction_df"):
        del data[key]
    for found in data["targets"]:
        for key in ("behind", "cheapest", "smallest_difference", "differences"):
            del found[key]
        for paradigm in found["paradigms"]:
            del paradigm["schedule_gap"], paradigm["lr_proposed"]
    older = RegretResults.from_json(json.dumps(data))
    assert older.seed_interaction is None
    assert older.targets[0].differences == ()
    assert older.targets[0].paradigms[0].regret is not None
    html = page.render(older)
    assert older.targets[0].conclusion in html


def test_a_trial_is_linked_to_where_it_was_logged_and_nothing_else_is() -> None:
    results = build_results()
    trial = results.measurements[0].trial_id
    places = {
        "wandb": 'https://wandb.ai/a"b<c/runs/1',
        "tensorboard": "tensorboard/w64-1",
        "mlflow": "javascript:alert(1)",
        '"><script>': "../../x",
    }
    html = page.render(results.model_copy(update={"logged": {trial: places, "of no trial": {"wandb": "https://x.y"}}}))
    references = re.findall(r'href="([^"]+)"', html)
    assert {r for r in references if not r.startswith(("data:", "#"))} == {
        "https://wandb.ai/a&#34;b&lt;c/runs/1",
        "../tensorboard/w64-1",
    }
    assert '<a href="../tensorboard/w64-1">tensorboard</a>' in html


def test_results_of_a_study_that_logged_nothing_are_as_before() -> None:
    results = build_results()
    assert "logged" not in json.loads(results.to_json())
    logged = results.model_copy(update={"logged": {"a": {"wandb": "https://x.y"}}})
    assert RegretResults.from_json(logged.to_json()).logged == {"a": {"wandb": "https://x.y"}}
