"""Recipes on models of the transformers library: every parameter gets its kind's settings, or is refused by name."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import lrladder as ll
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.hf.names import ENDS, IN_BLOCK, TIED, theirs_of
from lrladder.benchmark.lab.recipe import Recipe
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.recommend.formats import text
from lrladder.benchmark.recommend.placing import initialise, place
from lrladder.benchmark.recommend.study import advise
from lrladder.benchmark.recommend.wanted import Wanted
from lrladder.benchmark.schedules import factor
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.runner import run_on
from lrladder.benchmark.training.recipe import kind_of, trial_recipe
from lrladder.models.parameters import tag_of
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer
from tests.benchmark.trials import BATCH, tiny_trial
from tests.hf.peers import peer_of, transformers
from tests.hf.test_exact import CONFIGS, TINY
from tests.paths import TWO_TARGETS

TRANSFORMERS = transformers()
AS = {"kimi_k2": "deepseek_v3"}  # whose class the library has for it
MIXTRAL = {**TINY, **CONFIGS["mixtral"], "model_type": "mixtral", "tie_word_embeddings": False}


def config_of(name: str, **changes: Any) -> Any:
    kind = AS.get(name.split(",")[0], name.split(",")[0])
    return TRANSFORMERS.CONFIG_MAPPING[kind].from_dict({**TINY, **CONFIGS[name], "model_type": kind, **changes})


def recipe_of(shape: ModelShape) -> Recipe:
    trial = tiny_trial(shape=shape, base={"shape": shape, "batch_tokens": BATCH, "tokens": 640}, horizons=(640,))
    return trial_recipe(trial, parametrization="sp")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_has_the_kind_of_its_counterpart_in_our_model(name: str) -> None:
    config = config_of(name)
    shape = ll.Model.from_hf(config).shape
    peer, ours = peer_of(config), Transformer(shape, backend="reference")
    placed = place(peer, recipe_of(shape), shape)
    found = {id(param): kind for kind, params in placed.items() for param in params}
    theirs = dict(peer.named_parameters())
    for own, param in ours.named_parameters():
        for other in theirs_of(own):
            assert found.pop(id(theirs[other])) == kind_of(tag_of(param, own))
    assert not found
    assert ("tied" in placed) == config.tie_word_embeddings


def test_every_kind_is_in_some_family() -> None:
    kinds = {
        setting.kind for name in CONFIGS for setting in recipe_of(ll.Model.from_hf(config_of(name)).shape).settings
    }
    assert kinds == {counterpart.kind for counterpart in (*IN_BLOCK.values(), *ENDS.values(), TIED)}


def test_a_config_of_the_library_is_read_as_its_file(tmp_path: Path) -> None:
    for name in CONFIGS:
        config = config_of(name)
        config.save_pretrained(tmp_path)
        assert ll.Model.from_hf(config).public == ll.Model.from_hf(tmp_path / "config.json").public


def test_what_cannot_be_placed_is_refused_by_name() -> None:
    config = config_of("mixtral")
    shape = ll.Model.from_hf(config).shape
    recipe, peer = recipe_of(shape), peer_of(config)
    tied = peer_of(config_of("mixtral", tie_word_embeddings=True))
    with pytest.raises(InputError, match=r"model\.embed_tokens\.weight and lm_head\.weight are one tensor, .* untied"):
        place(tied, recipe, shape)
    of_tied = recipe_of(ll.Model.from_hf(config_of("mixtral, tied")).shape)
    with pytest.raises(
        InputError, match=r"lm_head\.weight is a matrix of its own, but .* set tie_word_embeddings=True"
    ):
        place(peer, of_tied, shape)
    with pytest.raises(
        InputError, match=r"recipe is for .* \(width 64, depth 3, .*\); ask for the recipe of this very"
    ):
        place(peer, recipe, shape.model_copy(update={"width": 64}))
    deeper = peer_of(config_of("mixtral", num_hidden_layers=4))
    with pytest.raises(InputError, match="the model has 74,848 parameters, and the recipe is for 57,696"):
        place(deeper, recipe, shape)
    with pytest.raises(InputError, match=r"layers\.0\.self_attn\.q_norm\.weight is of the kind norm_block, which this"):
        place(peer_of(config_of("qwen3_moe")), without(recipe, "norm_block"), shape)
    with pytest.raises(InputError, match="the model has no parameter of the kind shared_up, which its recipe has"):
        place(peer, with_kind(recipe, "shared_up"), shape)
    peer.adapter = torch.nn.Linear(2, 2, bias=False)
    with pytest.raises(InputError, match=r"parameter adapter\.weight is of no kind that a recipe has"):
        place(peer, recipe, shape)
    peer.adapter.requires_grad_(False)
    place(peer, recipe, shape)


def without(recipe: Recipe, kind: str) -> Recipe:
    return recipe.model_copy(update={"settings": tuple(one for one in recipe.settings if one.kind != kind)})


def with_kind(recipe: Recipe, kind: str) -> Recipe:
    return recipe.model_copy(
        update={"settings": (*recipe.settings, recipe.settings[0].model_copy(update={"kind": kind}))}
    )


def test_initial_weights_are_those_of_the_recipe_and_of_the_seed() -> None:
    config = config_of("glm4_moe")
    shape = ll.Model.from_hf(config).shape
    recipe, peer = recipe_of(shape), peer_of(config)
    placed = place(peer, recipe, shape)
    before = torch.get_rng_state()
    initialise(placed, recipe, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    first = {name: param.clone() for name, param in peer.named_parameters()}
    for setting in recipe.settings:
        values = torch.cat([param.detach().flatten() for param in placed[setting.kind]])
        if not setting.init_std:
            assert (values == (1.0 if setting.init_std is None else 0.0)).all()
        else:
            assert values.abs().max() <= 3 * setting.init_std
            assert values.std().item() == pytest.approx(setting.init_std, rel=0.15)  # the cut takes 1.3% of the std
    initialise(placed, recipe, seed=1)
    assert all(torch.equal(param, first[name]) for name, param in peer.named_parameters())


def run_of(name: str, folder: Path) -> ll.Run:
    """A study whose models compute what a tiny model of transformers does, with its experts."""
    data = load_config(TWO_TARGETS).model_dump()
    data["corpus"]["vocab_size"] = 400
    data["ladder"] |= {"num_experts": 6, "top_k": 2, "expert_ratio": 0.75, "seq_len": 64, "head_size": 8}
    architecture = ll.Model.from_hf(config_of(name)).shape.architecture
    data["ladder"]["architecture"] = architecture.model_dump()
    if architecture.tied:
        data["optimizer"]["embedding_std"] = data["recipe"]["embedding_lr"] = 1.0
    config = RegretConfig.model_validate(data)
    law = TrueLaw(k=50.0, u=0.4, v=0.3, mup_base=config.base.shape.n_active)
    return ll.Run(folder, run_on(config, SimulatedLab(config.rungs, law)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    return run_of("mixtral", tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def model() -> ll.Model:
    config = config_of("mixtral", hidden_size=128, num_attention_heads=16, intermediate_size=96, vocab_size=400)
    return ll.Model.from_hf(config)


GOAL = ll.Goal(tokens=1_000_000, batch_tokens=4096)


def pattern_of(kind: str) -> str:
    """Of the names of their parameters of this kind."""
    tables = ((r"model\.layers\.\d+\.", IN_BLOCK), ("", ENDS))
    names = [
        prefix + re.escape(name)
        for prefix, table in tables
        for counterpart in table.values()
        if counterpart.kind == kind
        for name in counterpart.theirs
    ]
    return f"^({'|'.join(names)})$"


@pytest.mark.parametrize("entry", ["fitting", "mutransfer", "mutransfer+power"])
def test_groups_and_schedule_are_those_of_the_torch_code(run: ll.Run, model: ll.Model, entry: str) -> None:
    rec = run.recommend(model, GOAL, entry=entry)
    hf = peer_of(config_of("mixtral", hidden_size=128, num_attention_heads=16, intermediate_size=96, vocab_size=400))
    code = code_of(run, model, entry)
    groups = rec.param_groups(hf)
    expected = code["param_groups"](code["by_name"](hf, {kind: pattern_of(kind) for kind in code["RECIPE"]}))
    assert {group["name"]: bare(group) for group in groups} == {group["name"]: bare(group) for group in expected}
    assert all(group["betas"] == code["BETAS"] for group in groups)
    assert rec.grad_clip == code["GRAD_CLIP"]
    assert {group["name"]: group["lr"] for group in groups} == rec.lr_by_role
    optimizer = torch.optim.AdamW(groups)
    scheduler = rec.scheduler(optimizer)
    asked, steps = rec.advice, rec.tokens // rec.batch_tokens
    assert asked.schedule is not None
    assert asked.reference is not None
    ten = {round(k * (steps - 1) / 9) for k in range(10)}
    for step in range(steps):
        if step in ten:
            ours = factor(asked.schedule, step * 4096, batch_tokens=4096, horizon=asked.tokens, at=asked.reference)
            assert rec.factor(step) == ours == pytest.approx(code["factor"](step))
            assert scheduler.get_last_lr() == pytest.approx([ours * lr for lr in rec.lr_by_role.values()])
        optimizer.step()
        scheduler.step()
    assert rec.factor(10 * steps) == rec.factor(steps)


def bare(group: dict[str, Any]) -> tuple[object, ...]:
    return ([id(param) for param in group["params"]], group["lr"], group["weight_decay"], group["eps"])


def code_of(run: ll.Run, model: ll.Model, entry: str) -> dict[str, Any]:
    """What `lrladder recommend --format torch` prints for these sizes, run."""
    shape = model.shape
    names = ("width", "depth", "head_size", "heads", "kv_heads", "num_experts", "top_k", "expert_width", "vocab_size")
    sizes = {name: getattr(shape, name) for name in (*names, "seq_len")}
    wanted = Wanted(entry, sizes=sizes, tokens=999_424, batch_tokens=4096)
    scope: dict[str, Any] = {}
    exec(text(advise(run.results, wanted).fold(), "torch"), scope)  # type: ignore[arg-type]
    return scope


def test_a_recipe_of_a_tied_study_is_for_a_tied_model_alone(run: ll.Run, model: ll.Model, tmp_path: Path) -> None:
    """In Python and as pasted text; the norm before the head has the multiplier of the logits."""
    sizes = {"hidden_size": 128, "num_attention_heads": 16, "intermediate_size": 96, "vocab_size": 400}
    tied_hf, hf = (peer_of(config_of("mixtral", **sizes, tie_word_embeddings=tied)) for tied in (True, False))
    tied_run = run_of("mixtral, tied", tmp_path)
    tied_model = ll.Model.from_hf(tied_hf.config)
    rec = tied_run.recommend(tied_model, GOAL, entry="mutransfer")
    code = code_of(tied_run, tied_model, "mutransfer")
    expected = code["param_groups"](code["by_name"](tied_hf, patterns(code)))
    assert {g["name"]: bare(g) for g in rec.param_groups(tied_hf)} == {g["name"]: bare(g) for g in expected}
    start = code["RECIPE"]["norm_final"]["start"]
    assert start == 48 / 128  # widths of the base and of the model
    rec.initialise(tied_hf)
    assert (tied_hf.model.norm.weight == start).all()
    assert rec.table.set_index("kind").loc["norm_final", "start"] == start
    assert f"all {start:.4g}" in text(rec.advice, "text")
    for other, own, kind in ((hf, code, "tied"), (tied_hf, code_of(run, model, "mutransfer"), "head")):
        with pytest.raises(ValueError, match=kind):
            own["by_name"](other, patterns(own))
    with pytest.raises(InputError, match="tie_word_embeddings=True"):
        rec.param_groups(hf)
    with pytest.raises(InputError, match=r"differs from the study's models in tied False \(the study: True\)"):
        tied_run.recommend(model, GOAL)


def patterns(code: dict[str, Any]) -> dict[str, str]:
    """Of the pasted code; for a head and an embedding of their own the kind `tied` would take both."""
    own = {kind: pattern_of(kind) for kind in code["RECIPE"] if kind != "tied"}
    return own | ({"tied": "embed_tokens|lm_head"} if "tied" in code["RECIPE"] else {})


def test_a_goal_is_rounded_to_whole_steps(run: ll.Run, model: ll.Model) -> None:
    rec = run.recommend(model, ll.Goal(tokens=1e6, batch_tokens=4100))
    assert (rec.tokens, rec.batch_tokens) == (999_424, 4096)


def test_a_model_that_computes_something_else_than_the_study_is_refused(run: ll.Run) -> None:
    other = ll.Model.from_hf(config_of("qwen3_moe"))
    with pytest.raises(InputError, match=r"differs from the study's models in qk_norm head \(the study: none\)"):
        run.recommend(other, GOAL)
    with pytest.raises(InputError, match="goal is missing"):
        run.recommend(other)


def test_a_model_of_the_study_gets_the_studys_own_answer(run: ll.Run) -> None:
    (target, *_) = run.results.targets  # type: ignore[attr-defined]
    found = run.recommend(target.rung, ll.Goal(tokens=target.tokens, batch_tokens=target.batch_tokens), entry="fitting")
    (own,) = [one for one in target.paradigms if one.name == "fitting"]
    assert found.lr == pytest.approx(own.lr_proposed or own.lr)
    table = found.table.set_index("kind")
    assert dict(table["lr"]) == found.lr_by_role
    assert table["init_std"].isna().sum() == sum(kind.startswith("norm") for kind in table.index)


def test_the_recipe_is_json(run: ll.Run, model: ll.Model) -> None:
    assert json.loads(text(run.recommend(model, GOAL).advice, "json"))["folded"]
