"""Kinds of study: each is registered in two places, and nothing else has to know of one more."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from lrladder.benchmark.cli import main
from lrladder.benchmark.config.parts import SearchConfig
from lrladder.benchmark.config.text import preset_names
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kind import StudyKind
from lrladder.benchmark.studies.kinds import KINDS, kind_of, load_study, plan_of
from lrladder.benchmark.studies.planner import Sweep, search_sweep
from lrladder.benchmark.studies.results import Found, StudyResults
from lrladder.benchmark.studies.stored import load_results
from lrladder.models.rules import STANDARD, Rules
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import Lab, ParametrizationName
from lrladder.paradigms.sweep.bracket import search_brackets
from lrladder.reports.html import write_page
from lrladder.reports.pages import PAGES
from lrladder.reports.results_page import Held, ResultsPage
from tests.faults.refusals import Refusals

LAW = TrueLaw(k=0.02, u=0.0, v=0.0)
YAML = "kind: toy\nname: one-sweep\nschedule: {warmup_tokens: 2048}\nsearch: {lr_guess: 0.0625}\n"


class ToyConfig(StudyConfig):
    """One sweep of one model."""

    kind: Literal["toy"] = "toy"
    search: SearchConfig

    @property
    def base(self) -> Base:
        shape = ModelShape(
            vocab_size=512, width=32, depth=2, head_size=16, num_experts=4, top_k=1, expert_width=32, seq_len=128
        )
        return Base(shape=shape, batch_tokens=1024, tokens=65536)

    @property
    def rungs(self) -> Ladder:
        return Ladder([Rung("only", "proxy", self.base.shape, self.base.batch_tokens, (self.base.tokens,))])

    def rules_of(self, parametrization: ParametrizationName) -> Rules:
        return STANDARD


class ToyResults(StudyResults):
    schema_: str = "lrladder.toy/1"
    best_lr: float | None


class ToyStudy:
    def __init__(self, config: ToyConfig, lab: Lab) -> None:
        self.config, self.lab = config, lab

    def run(self) -> None:
        search_brackets(
            self.lab, {"only": self.config.rungs[0].horizons}, self.config.search, payer="toy", parametrization="sp"
        )

    def results(self, found: Found) -> ToyResults:
        best = min((m for m in found.measurements if m.loss is not None), key=lambda m: m.loss or 0.0, default=None)
        return ToyResults(**found.common(self.config, () if best else ("the sweep",)), best_lr=best and best.lr)


class ToyKind(StudyKind[ToyConfig, ToyResults]):
    name = "toy"
    config_model = ToyConfig
    results_model = ToyResults

    def parametrizations(self, config: ToyConfig) -> Sequence[str]:
        return ("sp",)

    def sweeps(self, config: ToyConfig) -> Iterable[Sweep]:
        return [search_sweep("toy", config.rungs[0], "sp", config.search)]

    def simulated_lab(self, config: ToyConfig) -> Lab:
        return SimulatedLab(config.rungs, LAW, noise_sd=0.0)

    def start(self, config: ToyConfig, lab: Lab, on_stage: Callable[[str], None]) -> ToyStudy:
        return ToyStudy(config, lab)

    def assemble(self, config: ToyConfig, found: Found) -> ToyResults:
        raise NotImplementedError("nothing of a simulated study is stored")


TOY = ToyKind()


def show(results: ToyResults, console: Console) -> None:
    console.print(f"best LR {results.best_lr:g}")


PAGE = ResultsPage(
    load=partial(load_results, kind=TOY),
    write=lambda results, folder: write_page(f"<title>LR Ladder</title><p>best LR {results.best_lr:g}</p>", folder),
    held=lambda results: Held("toy", results.preset, "only", f"best LR {results.best_lr:g}", results.complete),
    show=show,
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A config of a kind that one line in each registry makes known."""
    monkeypatch.setitem(KINDS, TOY.name, TOY)
    monkeypatch.setitem(PAGES, TOY.schema, PAGE)
    path = tmp_path / "toy.yaml"
    path.write_text(YAML)
    return path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["lrladder", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def test_a_kind_that_is_registered_runs_reports_and_is_listed(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command(monkeypatch, "plan", str(toy))
    assert "toy" in capsys.readouterr().out
    command(monkeypatch, "run", str(toy), "--out", str(out))
    best = json.loads((out / "results.json").read_text())["best_lr"]
    assert best == pytest.approx(LAW.k, rel=0.5)  # the grid's factor is 2, so the nearest LR is within 1.41
    assert f"best LR {best:g}" in capsys.readouterr().out

    page = out / "report" / "index.html"
    written = page.read_text()
    assert f"best LR {best:g}" in written
    page.unlink()
    command(monkeypatch, "report", str(out))
    assert page.read_text() == written
    command(monkeypatch, "status", str(out))
    assert "complete" in capsys.readouterr().out
    command(monkeypatch, "index", str(tmp_path))
    assert f"best LR {best:g}" in (tmp_path / "index.html").read_text()


def test_a_kind_that_is_not_registered_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "toy.yaml").write_text(YAML)
    message = Refusals(capsys, monkeypatch)("run", str(tmp_path / "toy.yaml"), "--out", str(tmp_path / "out"))
    assert "kind: there is no kind of study 'toy'; known: axes, benchmark, power, recipe" in message
    assert not (tmp_path / "out").exists()


def test_every_kind_has_a_page_and_every_preset_a_kind() -> None:
    assert {kind.schema for kind in KINDS.values()} <= set(PAGES)
    for preset in preset_names():
        config = load_study(preset)
        asked = {trial.parametrization for trial in plan_of(config).trials}
        assert asked <= set(kind_of(config).parametrizations(config))
