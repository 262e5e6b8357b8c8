"""An exported checkpoint computes what our model does, and what no class of transformers holds is refused by name."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

import lrladder as ll
from lrladder.benchmark.cli import app
from lrladder.benchmark.config.text import parse_yaml, read_preset, validate
from lrladder.benchmark.design.public_config import read_public
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.export import checkpoint
from lrladder.benchmark.export.checkpoint import TOLERANCE, compare, export, our_model, write
from lrladder.benchmark.export.held import held
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.store import Store
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.session import write_config
from lrladder.benchmark.training import disk
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.recipe import multipliers
from lrladder.benchmark.training.train import train
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape
from lrladder.paradigms.lab import Request
from tests.benchmark.trials import BATCH, no_log, tiny_corpus, tiny_trial
from tests.hf.peers import ours_of, transformers
from tests.hf.test_exact import CONFIGS, TINY, TOKENS
from tests.models.shapes import moe_shape, public_shape

TRANSFORMERS = transformers()


def shape_of(name: str, folder: Path) -> ModelShape:
    (folder / "config.json").write_text(json.dumps({**TINY, **CONFIGS[name], "model_type": name.split(",")[0]}))
    return read_public(folder / "config.json").shape


def multiplied(shape: ModelShape) -> dict[str, float]:
    """Of a trial with a base of half its width and twice its depth, so that head and branches have multipliers."""
    small = {"width": shape.width // 2, "expert_width": shape.expert_width // 2, "depth": 2 * shape.depth}
    base = Base(shape=shape.model_copy(update=small), batch_tokens=BATCH, tokens=20 * BATCH)
    found = multipliers(tiny_trial(shape=shape, base=base))
    of_logits = "norm.gain" if shape.architecture.tied else "head"
    assert found[of_logits] != 1 and found["blocks.0.attention.out"] != 1 and found["embedding"] == 1
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_of_every_architecture_are_ours_with_the_multipliers_folded_in(name: str, tmp_path: Path) -> None:
    shape = shape_of(name, tmp_path)
    scale = multiplied(shape)
    model = our_model(shape, ours_of(shape).state_dict(), scale)
    write(model, scale, held(shape, "test"), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"config.json", "model.safetensors"}
    theirs = TRANSFORMERS.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        ours, found = model(TOKENS).logits, theirs(input_ids=TOKENS, use_cache=False).logits
        plain = our_model(shape, model.state_dict(), dict.fromkeys(scale, 1.0))(TOKENS).logits
    assert (ours - found).abs().max() < 1e-5 * ours.abs().max()
    assert (ours - plain).abs().max() > 100 * TOLERANCE * ours.abs().max()  # the multipliers matter
    difference, largest = compare(model, tmp_path / "out")
    assert difference < 1e-5 * max(1.0, largest)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_of_an_export_reads_back_as_the_same_shape(name: str, tmp_path: Path) -> None:
    shape = shape_of(name, tmp_path)
    kind, keys = held(shape, "test")
    config = TRANSFORMERS.CONFIG_MAPPING[kind].from_dict(keys)
    config.save_pretrained(tmp_path / "saved")
    assert read_public(tmp_path / "saved" / "config.json", seq_len=shape.seq_len).shape == shape


def test_our_own_architecture_is_qwen3_moe() -> None:
    assert held(moe_shape(), "test").model_type == "qwen3_moe"


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (
            moe_shape(shared_width=32),
            ["QK-norm in each head, softmax routing, an ungated shared expert", "qwen3_moe, has shared_width 0"],
        ),
        (moe_shape(num_experts=1, top_k=1), ["a dense model"]),
        (public_shape(), ["0.5 times an expert's width", "glm4_moe, has shared_width 0 in place of 16"]),
        (
            ModelShape(**moe_shape().model_dump(), architecture=Architecture(qkv_bias=True, rope_pairs="neighbours")),
            ["biases of queries, keys and values", "RoPE of neighbours", "nearest, qwen3_moe"],
        ),
    ],
    ids=["shared", "dense", "half", "bias"],
)
def test_a_shape_that_no_class_holds_is_refused_by_name(shape: ModelShape, told: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        held(shape, "trial x")
    for words in told:
        assert words in str(refused.value)


STUDY = {**parse_yaml(read_preset("smoke"), source="smoke"), "training": {"keep_weights": "targets"}}


class Study:
    """A folder with one finished trial of the largest target of the preset `smoke`, and the corpus of the trial."""

    def __init__(self, out: Path) -> None:
        config = validate(RegretConfig, STUDY, source="test")
        rung = config.rungs.rung("t48x4")
        self.out, self.trial = out, self._trial(config)
        self.corpus: Corpus = tiny_corpus(out, rung.shape, tokens=40_000)
        out.mkdir()
        write_config(config, out)
        self.measured = train(self.trial, self.corpus, log=no_log, trunks=out, weights=out / disk.WEIGHTS)[0]
        store = Store.open(out, config_digest=config.digest, corpus_digest="test")
        store.put(self.trial, [self.measured])
        gone = {"trial_id": self.diverged.id, "seed": 1, "verdict": "diverged", "loss": None}
        store.put(self.diverged, [self.measured.model_copy(update=gone)])
        store.close()

    @staticmethod
    def _trial(config: RegretConfig, seed: int = 0) -> Trial:
        request = Request("t48x4", "mup", 0.02, seed, config.rungs.rung("t48x4").horizons)
        (found,) = resolve(request, config, corpus_digest="test", precision="fp32")
        return found

    @property
    def diverged(self) -> Trial:
        return self._trial(validate(RegretConfig, STUDY, source="test"), seed=1)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("export") / "study")


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_a_finished_trial_is_exported_and_has_its_measured_loss(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "checkpoint"
    result = invoke(study.out, "--trial", study.trial.id[:6], "--out", out)
    assert result.exit_code == 0, result.output
    assert "qwen3_moe" in result.output
    peer = TRANSFORMERS.AutoModelForCausalLM.from_pretrained(out)
    windows = torch.from_numpy(study.corpus.val_windows.astype("int64"))
    with torch.no_grad():
        logits = peer(input_ids=windows[:, :-1], use_cache=False).logits
    loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).item()
    assert loss == pytest.approx(study.measured.loss, abs=1e-5)
    text = (out / "README.md").read_text(encoding="utf-8")
    for words in ("study smoke", study.trial.id, "t48x4 mup", "0.02", f"{study.measured.loss:.4f}", "32,768 tokens"):
        assert words in text
    assert [path.name for path in out.parent.iterdir()] == ["checkpoint"]


def test_python_has_the_same_verb(study: Study, tmp_path: Path) -> None:
    made = ll.export(str(study.out), study.trial.id[:6], tmp_path / "out", tokens=32768)
    assert (made.trial_id, made.tokens, made.loss) == (study.trial.id, 32768, study.measured.loss)
    assert (tmp_path / "out" / "model.safetensors").is_file()
    with pytest.raises(ll.InputError, match=r"^tokens 5: trial .* was evaluated at 32768"):
        ll.export(study.out, study.trial.id, tmp_path / "more", tokens=5)
    with pytest.raises(ll.InputError, match=r"^out .*holds something else; name a new folder"):
        ll.export(study.out, study.trial.id, tmp_path / "out")


@pytest.mark.parametrize("moment", ["_card", "compare"])
def test_an_interrupted_export_leaves_no_half_folder(
    moment: str, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        assert not (tmp_path / "out").exists()
        assert [(path / "config.json").exists() for path in tmp_path.iterdir()] == [True]  # the temporary one
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, moment, end)
    with pytest.raises(KeyboardInterrupt):
        export(study.out, study.trial.id, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_refused_in_one_line(study: Study, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").touch()
    out, trial = tmp_path / "out", study.trial.id
    for arguments, told in {
        (study.out, "--trial", "zz", "--out", out): f"no such trial .*weights are kept of {trial}",
        (study.out, "--trial", trial, "--tokens", 5, "--out", out): "was evaluated at 32768",
        (study.out, "--trial", study.diverged.id, "--out", out): "diverged on its way to 32,768 tokens",
        (study.out, "--trial", trial, "--out", taken): "holds something else",
        (tmp_path / "none", "--trial", trial, "--out", out): "no such folder",
    }.items():
        found = invoke(*arguments).exception
        assert isinstance(found, InputError)
        assert re.search(told, str(found)), found
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_study_that_kept_nothing_says_how_to_keep(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study.out, folder)
    name = f"{study.trial.run_id}-32768"
    file = next(path for path in (folder / disk.WEIGHTS).iterdir() if path.suffix == ".pt")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{name}.*were written.*was set aside"):
        export(folder, study.trial.id, tmp_path / "out")
    shutil.rmtree(folder / disk.WEIGHTS)
    with pytest.raises(InputError, match=r"keep_weights: targets.*new OUT"):
        export(folder, study.trial.id, tmp_path / "out")
    with pytest.raises(InputError, match=r"keep_weights: targets.*new OUT"):
        export(folder, "zz", tmp_path / "out")


def test_without_transformers_the_extra_is_named(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"export writes through the transformers library.*\[hf\]"):
        export(study.out, study.trial.id, tmp_path / "out")
