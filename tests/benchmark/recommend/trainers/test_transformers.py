"""The printed recipe for transformers, in the library's own Trainer."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lrladder.benchmark.design.public_config import keys_of
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.recommend.formats import text
from lrladder.benchmark.recommend.placing import place
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape
from tests.benchmark.recommend.trainers.asked import SCHEDULES, STEPS, advice_of, ours, peak, points, run, shape_of
from tests.hf.peers import peer_of, transformers
from tests.models.shapes import LIKE_DEEPSEEK

TRANSFORMERS = transformers()
SHAPES = {
    "mixtral": shape_of(architecture=Architecture(qk_norm="none", norm_eps=1e-5, rope_theta=1e6)),
    "qwen3_moe": shape_of(),
    "deepseek_v3": ModelShape(
        **shape_of().model_dump(exclude={"kv_heads", "architecture"})
        | {"kv_rank": 24, "q_rank": 36, "rope_size": 4, "value_size": 6, "shared_width": 48},
        architecture=LIKE_DEEPSEEK,
    ),
}
TOKENS = {"eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 0}


def model_of(name: str, *, tied: bool = False) -> Any:
    shape = SHAPES[name]
    sizes = {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": shape.head_size,
        "num_experts_per_tok": shape.top_k,
        "max_position_embeddings": shape.seq_len,
        "tie_word_embeddings": tied,
        **TOKENS,
    }
    experts = {
        "mixtral": {"num_local_experts": shape.num_experts, "intermediate_size": shape.expert_width},
        "qwen3_moe": {"num_experts": shape.num_experts, "moe_intermediate_size": shape.expert_width},
        "deepseek_v3": next(keys for keys in keys_of(shape) if keys["model_type"] == name) if shape.kv_rank else {},
    }
    return peer_of(TRANSFORMERS.CONFIG_MAPPING[name].from_dict({**sizes, **experts[name], "model_type": name}))


def kinds_of(name: str, model: Any) -> dict[int, str]:
    """The kind of each parameter, by its id, as `placing` finds it."""
    recipe = advice_of(SHAPES[name]).recipe
    assert recipe is not None
    return {id(param): kind for kind, params in place(model, recipe, SHAPES[name]).items() for param in params}


@pytest.mark.parametrize("name", SHAPES)
def test_the_trainer_trains_with_the_recipe(name: str, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate, of the extra `test`")
    advice, model = advice_of(SHAPES[name]), model_of(name)
    kinds, code, seen = kinds_of(name, model), run(advice, "transformers"), {}

    class Watch(TRANSFORMERS.TrainerCallback):  # type: ignore[misc,name-defined]
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            seen[state.global_step] = {
                id(param): {key: group[key] for key in ("lr", "weight_decay", "eps", "betas")}
                for group in given["optimizer"].param_groups
                for param in group["params"]
            }

    code.initialise(code.kinds(model))
    arguments = TRANSFORMERS.TrainingArguments(
        str(tmp_path),
        per_device_train_batch_size=code.BATCH_SEQUENCES,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        **code.ARGUMENTS,
    )
    rows = torch.randint(0, 96, (8, SHAPES[name].seq_len), generator=torch.Generator().manual_seed(0))
    trainer = TRANSFORMERS.Trainer(
        model,
        arguments,
        train_dataset=[{"input_ids": row, "labels": row} for row in rows],
        optimizers=code.optimizers(model),
        callbacks=[Watch()],
    )
    trainer.train()
    recipe = advice.recipe
    assert recipe is not None
    assert len(seen) == STEPS
    assert arguments.max_grad_norm == recipe.grad_clip
    for step in points():
        assert set(seen[step]) == set(kinds)
        for param, kind in kinds.items():
            wanted = peak(advice, kind)
            wanted["lr"] *= ours(advice, step)
            assert seen[step][param].pop("betas") == (recipe.beta1, recipe.beta2)
            assert seen[step][param] == pytest.approx(wanted, rel=1e-12)


def test_initial_weights_are_those_of_the_recipe() -> None:
    advice, model = advice_of(SHAPES["mixtral"]), model_of("mixtral")
    code, recipe = run(advice, "transformers"), advice.fold().recipe
    assert recipe is not None
    code.initialise(placed := code.kinds(model))
    for setting in recipe.settings:
        values = torch.cat([param.detach().flatten() for param in placed[setting.kind]])
        if setting.init_std is None:
            assert (values == 1).all()
        else:
            assert values.std().item() == pytest.approx(0.9866 * setting.init_std, rel=0.15)  # of a normal cut at 3


@pytest.mark.parametrize("form", ["torch", "transformers"])
def test_a_tied_head_is_refused(form: str) -> None:
    code, transformers_code = (run(advice_of(SHAPES["mixtral"]), one) for one in (form, "transformers"))  # type: ignore[arg-type]
    patterns = {kind: "|".join(names) for kind, names in transformers_code.NAMES.items()}
    code.by_name(model_of("mixtral"), patterns)
    with pytest.raises(
        ValueError, match=r"embed_tokens\.weight and lm_head\.weight are one tensor: a head that is tied"
    ):
        code.by_name(model_of("mixtral", tied=True), patterns)
    without = model_of("mixtral")
    del without.lm_head
    with pytest.raises(ValueError, match=r"no parameter is \['head'\]"):
        code.by_name(without, patterns)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_schedule_is_that_of_training(name: str) -> None:
    advice, model = advice_of(SHAPES["mixtral"], SCHEDULES[name]), model_of("mixtral")
    adam, scheduler = run(advice, "transformers").optimizers(model)
    for step in range(STEPS):
        for group in adam.param_groups:
            assert group["lr"] == pytest.approx(ours(advice, step) * peak(advice, group["name"])["lr"], rel=1e-12)
        adam.step()
        scheduler.step()


def test_multipliers_are_refused() -> None:
    for form in ("transformers", "megatron", "torchtitan"):
        with pytest.raises(InputError, match="no multipliers of outputs; leave out --multipliers"):
            text(advice_of(SHAPES["mixtral"]), form)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["torch", "transformers"])
def test_a_recipe_for_a_tied_head_is_for_no_other(form: str) -> None:
    """The one matrix is of the kind `tied`, and the norm before it starts at the multiplier of the logits."""
    shape = SHAPES["mixtral"]
    tied_shape = shape.model_copy(update={"architecture": shape.architecture.model_copy(update={"tied": True})})
    code = run(advice_of(tied_shape), form)  # type: ignore[arg-type]
    names = run(advice_of(tied_shape), "transformers").NAMES
    patterns = {kind: "|".join(found) for kind, found in names.items()}
    model = model_of("mixtral", tied=True)
    params = code.by_name(model, patterns)
    assert params["tied"] == [model.lm_head.weight] == [model.model.embed_tokens.weight]
    assert sum(len(found) for found in params.values()) == len(list(model.parameters()))
    with torch.no_grad():
        code.initialise(params)
    assert (model.model.norm.weight == code.RECIPE["norm_final"]["start"]).all()
    assert code.RECIPE["norm_final"]["start"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="two tensors, and RECIPE is for a head that is tied"):
        code.by_name(model_of("mixtral"), patterns)


@pytest.mark.parametrize("form", ["megatron", "torchtitan"])
def test_a_trainer_without_names_for_latents_is_refused(form: str) -> None:
    with pytest.raises(
        InputError, match=f"--format {form}: it names no parameter of the kind q_a; take --format torch"
    ):
        text(advice_of(SHAPES["deepseek_v3"]).fold(), form)  # type: ignore[arg-type]


def test_deepspeed_has_the_settings_of_the_matrix_that_reads_the_residual_stream() -> None:
    config = json.loads(text(advice_of(SHAPES["deepseek_v3"]).fold(), "deepspeed"))
    assert config["optimizer"]["params"]["lr"] == config["lrladder"]["roles"]["kv_a"]["lr"]


@pytest.mark.parametrize("form", ["megatron", "torchtitan"])
def test_a_trainer_without_names_for_a_tied_head_is_refused(form: str) -> None:
    shape = shape_of(architecture=Architecture(tied=True))
    with pytest.raises(InputError, match=f"--format {form}: it names no parameter of the kind tied; take"):
        text(advice_of(shape).fold(), form)  # type: ignore[arg-type]
