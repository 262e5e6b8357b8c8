"""Recipes: what they say is what training builds, and what they print works."""

import json
import math
import re
import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest
import torch

from lrladder.benchmark.cli import main
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.recommend.formats import TRAINERS, text
from lrladder.benchmark.recommend.study import advise
from lrladder.benchmark.recommend.wanted import Wanted
from lrladder.benchmark.schedules import factor
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.runner import run_on
from lrladder.benchmark.training import optimizer
from lrladder.benchmark.training.recipe import kind_of, proposal_recipe
from lrladder.models.parameters import tag_of
from lrladder.models.parametrization import build
from lrladder.models.transformer import Transformer
from lrladder.paradigms.lab import Request
from lrladder.paradigms.paradigm import Proposal
from tests.paths import TWO_TARGETS

CONFIG = load_config(TWO_TARGETS)
BATCH = CONFIG.base.batch_tokens
OWN = {"width": 64, "depth": 4, "shared_width": 48, "num_experts": 4}
KINDS = {
    "embedding": "^embedding$",
    "attention_qkv": "attention.qkv",
    "attention_out": "attention.out",
    "router": "router",
    "expert_up": "moe.up",
    "expert_down": "moe.down",
    "shared_up": "shared_up",
    "shared_down": "shared_down",
    "norm_block": "^blocks.*norm",
    "norm_final": "^norm",
    "head": "^head$",
}


@pytest.fixture(scope="module")
def results() -> RegretResults:
    config = config_with()
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=config.base.shape.n_active)
    return run_on(config, SimulatedLab(config.rungs, law))


def config_with(**rules: object) -> RegretConfig:
    data = CONFIG.model_dump()
    data["parametrizations"]["mup"]["rules"] |= rules
    data["ladder"]["shared_ratio"] = 0.5
    data["recipe"] = {"embedding_lr": 32.0, "norm_lr": 0.5, "head_lr": 2.0, "router_lr": 4.0}
    return RegretConfig.model_validate(data)


def proposal(parametrization: str, **fields: object) -> Proposal:
    given = {"paradigm": "any", "rung": "t96x3", "horizon": 262144, "lr": 0.02, "lr_low": 0.01, "lr_high": 0.03}
    return Proposal.model_validate({**given, "parametrization": parametrization, "extrapolation": 1.0, **fields})


@pytest.mark.parametrize(
    ("rules", "fields"),
    [
        ({}, {"parametrization": "sp"}),
        ({}, {"parametrization": "mup"}),
        ({}, {"parametrization": "mup", "role_lrs": (("router", 4.0),), "horizon": 524288}),
        (
            {"horizon": "fitted", "experts": "fi", "depth": "depth_mup", "decay_horizon": "power_lines"},
            {"parametrization": "mup", "horizon": 524288, "horizon_exponent": -0.3},
        ),
    ],
)
def test_a_recipe_is_what_training_builds(rules: dict[str, object], fields: dict[str, object]) -> None:
    config, wanted = config_with(**rules), proposal(**fields)  # type: ignore[arg-type]
    recipe = proposal_recipe(config, wanted)
    request = Request(
        wanted.rung, wanted.parametrization, wanted.lr, 3, (wanted.horizon,), wanted.horizon_exponent, wanted.role_lrs
    )
    (trial,) = resolve(request, config, corpus_digest="x", precision="bf16")
    model, table = build(
        trial.rules,
        trial.shape,
        trial.base.shape,
        backend="reference",
        embedding_std=trial.optimizer.embedding_std,
        seed=0,
    )
    settings = {setting.kind: setting for setting in recipe.settings}
    groups = optimizer.groups(trial, model, table)
    names = {id(param): name for name, param in model.named_parameters()}
    seen = set()
    for group in groups:
        for param in group["params"]:  # type: ignore[attr-defined]
            tag = tag_of(param, names[id(param)])
            setting = settings[kind_of(tag)]
            seen.add(setting.kind)
            assert (setting.lr, setting.weight_decay, setting.eps) == (group["lr"], group["weight_decay"], group["eps"])
            assert setting.role == tag.role
            spread = float(param.detach().std()) if setting.init_std is not None else 0.0
            assert spread == pytest.approx(0.9866 * (setting.init_std or 0.0), rel=0.15)  # std of a normal cut at 3
    assert seen == set(settings)
    assert settings["head"].forward == model.head_multiplier
    assert settings["expert_down"].forward == settings["attention_out"].forward == model.branch_multiplier
    assert (recipe.beta1, recipe.beta2) == optimizer.betas(trial)
    assert recipe.tau_ema == optimizer.tau_ema(trial, groups, recipe.tokens)


def test_results_carry_recipes_and_old_ones_stay_valid(results: RegretResults) -> None:
    found = [p for target in results.targets for p in target.paradigms]
    assert all(p.recipe is not None and p.recipe.lr == p.lr for p in found)
    data = json.loads(results.to_json())
    for target in data["targets"]:
        for p in target["paradigms"]:
            del p["recipe"], p["role_lrs"], p["horizon_exponent"]
    for curve in data["curves"]:
        del curve["sd_ln_lr"], curve["flags"]
    assert RegretResults.from_json(json.dumps(data)).targets[0].paradigms[0].recipe is None


@pytest.mark.parametrize("paradigm", ["fitting", "mutransfer"])
def test_advice_for_a_rung_is_the_studys_own_proposal(results: RegretResults, paradigm: str) -> None:
    for target in results.targets:
        advice = advise(results, Wanted(paradigm, target.rung))  # type: ignore[arg-type]
        (stored,) = [p for p in target.paradigms if p.name == paradigm]
        for key in ("lr", "lr_low", "lr_high", "extrapolation"):
            assert getattr(advice, key) == pytest.approx(getattr(stored, key))
        assert advice.flags == stored.flags
        assert advice.recipe is not None
        assert stored.recipe is not None
        assert advice.recipe.settings[0].lr == pytest.approx(stored.recipe.settings[0].lr)


@pytest.mark.parametrize("paradigm", ["fitting", "mutransfer"])
def test_a_mistake_costs_what_the_curves_of_the_arm_say(results: RegretResults, paradigm: str) -> None:
    advice = advise(results, Wanted(paradigm, "t96x3"), tflops=100.0)
    curved = [c.curvature for c in results.curves if c.parametrization == advice.arm and c.status == "interior"]
    assert advice.mistake is not None
    assert advice.mistake.n_cells == len(curved)
    assert advice.mistake.curvature == pytest.approx(median(curve for curve in curved if curve))
    for end, lr in ((advice.mistake.low, advice.lr_low), (advice.mistake.high, advice.lr_high)):
        assert lr is not None
        assert end.rise == pytest.approx(advice.mistake.curvature * math.log(lr / advice.lr) ** 2)
    assert "this one costs" in text(advice, "text")
    assert advice.bands == ()  # a simulation has no logs


def own_code(results: RegretResults, **changes: object) -> SimpleNamespace:
    advice = advise(results, Wanted(sizes=OWN, tokens=1_000_000, **{"batch_tokens": BATCH, **changes}))  # type: ignore[arg-type]
    scope: dict[str, object] = {}
    exec(text(advice, "torch"), scope)
    return SimpleNamespace(**scope, advice=advice)


def test_the_torch_code_gives_the_groups_of_our_own_training(results: RegretResults) -> None:
    code = own_code(results)
    assert code.advice.sizes is not None
    model = Transformer(code.advice.sizes, backend="reference")
    groups = code.param_groups(code.by_name(model, KINDS))
    adamw = torch.optim.AdamW(groups, betas=code.BETAS)
    assert sum(len(group["params"]) for group in adamw.param_groups) == len(list(model.parameters()))
    for group in adamw.param_groups:
        (setting,) = [s for s in code.advice.recipe.settings if s.kind == group["name"]]
        assert (group["lr"], group["weight_decay"], group["eps"]) == (setting.lr, setting.weight_decay, setting.eps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(adamw, code.factor)
    asked = code.advice
    for step in range(asked.tokens // BATCH):
        trained = factor(asked.schedule, step * BATCH, batch_tokens=BATCH, horizon=asked.tokens, at=asked.reference)
        expected = [trained * code.RECIPE[group["name"]]["lr"] for group in groups]
        assert scheduler.get_last_lr() == pytest.approx(expected)
        adamw.step()
        scheduler.step()


def test_the_torch_code_refuses_what_it_cannot_place(results: RegretResults) -> None:
    code = own_code(results)
    model = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="bias matches no pattern"):
        code.by_name(model, {"head": "weight"})
    with pytest.raises(ValueError, match="must match exactly one"):
        code.by_name(model, {"head": ".", "router": "bias"})
    with pytest.raises(ValueError, match="no recipe for"):
        code.param_groups({"heads": []})


def test_the_deepspeed_config_names_no_scheduler_and_holds_the_table(results: RegretResults) -> None:
    advice = advise(results, Wanted(sizes=OWN, tokens=1_000_000, batch_tokens=4096))
    config = json.loads(text(advice, "deepspeed"))
    assert "scheduler" not in config
    assert config["train_batch_size"] == 4096 // 128
    assert set(config["lrladder"]["roles"]) == set(KINDS)
    assert "model_parameters" in config["lrladder"]["note"]


def test_rules_reach_the_users_own_model(results: RegretResults) -> None:
    """Twice the width, a quarter of the tokens per batch: hidden LR / 2, all LRs by the token rule."""
    base = CONFIG.base
    sizes = {"width": 2 * base.shape.width, "depth": base.shape.depth}
    advice = advise(results, Wanted(sizes=sizes, tokens=4 * base.tokens, batch_tokens=BATCH))
    assert advice.recipe is not None
    settings = {setting.kind: setting for setting in advice.recipe.settings}
    assert advice.recipe.token_factor == pytest.approx(by_tokens := 4**-0.3509)
    ratios = advice.recipe.lr_ratios
    assert settings["head"].lr == pytest.approx(by_tokens * ratios["head"] * advice.lr)
    assert settings["expert_up"].lr == pytest.approx(by_tokens / 2 * advice.lr)
    assert settings["router"].lr == pytest.approx(by_tokens / 2 * ratios["router"] * advice.lr)
    assert settings["head"].forward == pytest.approx(0.5)
    assert advice.recipe.tau_ema == pytest.approx(base.batch_tokens / (advice.lr * 0.1 * base.tokens))


def test_what_no_paradigm_carries_over_is_said(results: RegretResults) -> None:
    advice = advise(results, Wanted(sizes={**OWN, "head_size": 32, "top_k": 1}, tokens=10**7, batch_tokens=BATCH))
    assert any("1 of 4 experts, searched at 2 of 8" in flag for flag in advice.flags)
    assert any("head_size 32" in flag for flag in advice.flags)
    assert any("extrapolates" in flag for flag in advice.flags)


def test_a_count_of_parameters_is_enough_for_the_law(results: RegretResults) -> None:
    advice = advise(results, Wanted(n_active=10**8, tokens=10**10, batch_tokens=BATCH, force=True))
    assert (advice.paradigm, advice.recipe, advice.sizes) == ("fitting", None, None)
    assert results.law is not None
    assert advice.lr == pytest.approx(results.law.k * 1e8**-results.law.u * 1e10**-results.law.v)
    assert advice.lr_low < advice.lr < advice.lr_high
    assert any("extrapolates" in flag for flag in advice.flags)
    assert advice.lr_ratios == {"embedding": 32.0, "norm": 0.5, "head": 2.0, "router": 4.0}
    assert f"LR {advice.lr:.4g} for the matrices, 32 times that for embedding" in text(advice, "text")
    plain = advice.model_copy(update={"lr_ratios": {}})
    assert f"LR {advice.lr:.4g} for all parameters, in standard parametrization" in text(plain, "text")
    with pytest.raises(InputError, match="needs the recipe by role"):
        text(advice, "torch")
    assert json.loads(text(advice, "json"))["schema"] == "lrladder.recipe/1"
    without = advice.model_copy(update={"lr_low": None, "lr_high": None})
    assert f"LR {advice.lr:.4g} (no interval)" in text(without, "text")


def test_a_law_that_counts_all_parameters_says_what_it_assumed(results: RegretResults) -> None:
    def counting(size: str) -> RegretResults:
        laws = [e.law and e.law.model_copy(update={"size": size}) for e in results.entries]
        entries = [e.model_copy(update={"law": law}) for e, law in zip(results.entries, laws, strict=True)]
        return results.model_copy(update={"entries": tuple(entries)})

    asked = Wanted("fitting", n_active=10**6, tokens=10**7, batch_tokens=BATCH, force=True)
    assert not any("--n-total" in flag for flag in advise(counting("active"), asked).flags)
    (assumed,) = [flag for flag in advise(counting("total"), asked).flags if "--n-total" in flag]
    assert assumed.endswith("takes 1,000,000, as of a dense model")
    assert not any("--n-total" in f for f in advise(counting("total"), asked._replace(n_total=10**7)).flags)
    with pytest.raises(InputError, match="--n-total 5 is less than --n-active 1,000,000"):
        advise(results, asked._replace(n_total=5))


def test_simulated_losses_are_said_first(results: RegretResults) -> None:
    flags = advise(results.model_copy(update={"lab": "simulated"}), Wanted(rung="t96x3")).flags
    assert flags[0].startswith("SIMULATED")
    assert not any("SIMULATED" in flag for flag in advise(results, Wanted(rung="t96x3")).flags)


def test_a_refusal_names_an_entry_that_is_no_worse_and_reaches_that_far(
    results: RegretResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    def near(results: RegretResults, config: RegretConfig, name: str, rung: object) -> Proposal:
        return proposal("mup", extrapolation=10.0 if name == "fitting" else 1000.0)

    monkeypatch.setattr("lrladder.benchmark.recommend.study.propose", near)
    target = results.targets[-1].model_copy(update={"winner": None, "cheapest": "mutransfer", "behind": ()})
    tied = results.model_copy(update={"targets": (target,)})
    with pytest.raises(InputError, match="search larger models first, name --entry fitting, or give --force"):
        advise(tied, Wanted(rung="t96x3"))
    won = results.model_copy(update={"targets": (target.model_copy(update={"winner": "mutransfer"}),)})
    with pytest.raises(InputError, match="search larger models first, or give --force"):
        advise(won, Wanted(rung="t96x3"))


def test_the_command_prints_what_was_asked_and_refuses_in_one_line(
    results: RegretResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text(results.to_json())

    def recommend(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["lrladder", "recommend", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code in (0, None, 2)
        printed = capsys.readouterr()
        return printed.err if stopped.value.code else printed.out

    own = ("--width", "64", "--depth", "4", "--num-experts", "4", "--shared-width", "48", "--tokens", "1000000")
    own += ("--batch-tokens", str(BATCH))
    advice = advise(results, Wanted(sizes=OWN, tokens=1_000_000, batch_tokens=BATCH))
    for form in TRAINERS:
        assert recommend(*own, "--format", form).strip() == text(advice.fold(), form).strip()
    assert recommend(*own, "--format", "torch", "--multipliers").strip() == text(advice, "torch").strip()
    assert recommend(*own).strip() == text(advice.fold(), "text").strip()
    assert json.loads(recommend(*own, "--json")) == json.loads(text(advice.fold(), "json"))
    assert json.loads(recommend("--rung", "t96x3", "--entry", "fitting", "--json"))["parametrization"] == "sp"
    far = recommend("--n-active", "1e9", "--tokens", "2e10", "--batch-tokens", "1e6")
    assert far.startswith("lrladder: the model is too far: ")
    assert "or give --force" in far
    assert "weak: forced: " in recommend("--n-active", "1e9", "--tokens", "2e10", "--batch-tokens", "1e6", "--force")
    missing = "lrladder: --tokens is missing; give the number of tokens that the model will be trained on\n"
    assert recommend("--width", "64") == missing


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(), "no model is named: give one of --rung"),
        (Wanted(rung="t96x3", n_active=5), "--rung and --n-active exclude each other"),
        (Wanted(rung="t97"), "use one of p32x2"),
        (Wanted(sizes={"width": 64, "depth": 2}), "--tokens is missing"),
        (Wanted(n_active=10**6, tokens=10**6), "--batch-tokens is missing: how many tokens will one step take?"),
        (Wanted(sizes={"width": 64}, tokens=5), "--width and --depth describe a model together"),
        (Wanted(sizes={"width": 65, "depth": 2}, tokens=5), "width 65 is not divisible by head_size 16"),
        (Wanted(sizes={**OWN, "shared_width": 0}, tokens=5), "--shared-width: the study's models have a shared expert"),
        (Wanted(sizes={"width": 64, "depth": 2, "top_k": 0}, tokens=5), "--top-k: "),
        (Wanted(sizes=OWN, tokens=10**6, batch_tokens=10**6), "--tokens: horizon 1000000 decays over 0.2 of it"),
        (Wanted("mutransfer", n_active=5, tokens=5, batch_tokens=1), "--n-active is not enough for mutransfer"),
        (Wanted(rung="t96x3", n_total=5), "--n-total says how sparse a model of --n-active is; give both, or neither"),
    ],
)
def test_a_request_that_says_too_little_is_refused_in_one_line(
    results: RegretResults, wanted: Wanted, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        advise(results, wanted)
    assert "\n" not in str(error.value)


def test_a_study_without_curves_or_rules_is_refused(results: RegretResults) -> None:
    with pytest.raises(InputError, match=r"no bracketed minimum \(no runs\)"):
        advise(results.model_copy(update={"curves": (), "entries": ()}), Wanted(rung="t96x3"))
    old = json.loads(json.dumps(results.config))
    del old["parametrizations"]["mup"]["rules"]
    with pytest.raises(InputError, match="run the study again"):
        advise(results.model_copy(update={"config": old}), Wanted(rung="t96x3"))
    with pytest.raises(InputError, match="another version"):
        advise(results.model_copy(update={"config": {}}), Wanted(rung="t96x3"))


def test_text_is_the_same_every_time(results: RegretResults, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(results.to_json())
    again = RegretResults.from_json(path.read_text())
    for form in ("torch", "deepspeed", "json"):
        advice = advise(results, Wanted(sizes=OWN, tokens=10**6, batch_tokens=BATCH))
        assert text(advice, form) == text(advise(again, Wanted(sizes=OWN, tokens=10**6, batch_tokens=BATCH)), form)  # type: ignore[arg-type]
