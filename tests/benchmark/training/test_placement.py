"""The planned memory and time of a trial on several GPUs."""

from typing import get_args

import pytest

from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.training.gpus import GPUS, GpuName, Gpus
from lrladder.benchmark.training.memory import device_memory, divisors, memory_bytes, micro_batch_of, passes
from lrladder.benchmark.training.placement import cheapest, fewest
from lrladder.paradigms.lab import Request

H100 = GPUS["h100"]


def _trial(rung: str, preset: str = "moe12b", **training: object) -> Trial:
    study = load_study(preset)
    horizon = max(study.rungs.rung(rung).horizons)
    (trial,) = resolve(Request(rung, "sp", 0.01, 0, (horizon,)), study, corpus_digest="", precision="bf16")
    return trial.model_copy(update={"training": TrainingSettings.model_validate(training)})


def test_12b_on_64_h100_fits_and_takes_what_the_rule_of_thumb_says() -> None:
    """6 N D at 35% of the peak, with N active parameters: within a factor of 1.5."""
    plan = plan_of(load_study("moe12b"), gpus=Gpus(H100, 64))
    placed = {one.rung: one for one in plan.placed}["t1300m"]
    trial = _trial("t1300m")
    thumb = 6 * trial.shape.n_active * trial.horizons[0] / (64 * 989e12 * 0.35)
    assert thumb / 1.5 < placed.seconds < 1.5 * thumb
    assert placed.needed_bytes < 80e9 and placed.gpus == 64
    assert sum(placed.memory.values()) < placed.needed_bytes
    assert max(one.seconds for one in plan.trials) == placed.seconds


def test_without_ranks_the_parts_are_what_one_device_needs() -> None:
    """36 bytes per parameter in fp32, 38 in bf16, beside the activations."""
    trial = _trial("g256x4", "gpu")
    memory = device_memory(trial, 64)
    size = trial.shape.n_total + trial.shape.n_embedding
    assert memory.total - memory.activations == 38 * size and memory.total == memory_bytes(trial)


@pytest.mark.parametrize("recompute", ["none", "blocks"])
def test_each_stage_and_each_smaller_micro_batch_needs_less(recompute: str) -> None:
    by_stage = [
        device_memory(_trial("t1300m", devices=64, zero_stage=stage, recompute=recompute), 1) for stage in range(4)
    ]
    totals = [memory.total for memory in by_stage]
    assert totals == sorted(totals, reverse=True) and len(set(totals)) == 4
    assert by_stage[1].moments == by_stage[0].moments / 64 and by_stage[2].gradients == by_stage[1].gradients / 64
    trial = _trial("t1300m", devices=64, zero_stage=3, recompute=recompute)
    micro = [device_memory(trial, n).activations for n in divisors(8)]
    assert micro == [n * micro[0] for n in divisors(8)]


def test_spread_experts_take_their_share_of_the_memory() -> None:
    """Weights, gradients and the trunk by the spread; moments of ZeRO as before, which splits them over all devices."""
    trials = [_trial("t1300m", devices=64, zero_stage=1, expert_parallel=spread) for spread in (1, 8)]
    alone, spread = (device_memory(trial, 1) for trial in trials)
    shape = trials[0].shape
    kept = shape.n_total + shape.n_embedding - shape.n_experts * 7 / 8
    assert spread.gradients == 4 * kept and spread.moments == alone.moments
    assert alone.weights - spread.weights == pytest.approx((4 + 2) * shape.n_experts * 7 / 8)  # fp32 and rounded
    assert spread.total < alone.total / 2


def test_a_plan_spreads_experts_as_the_config_asks_where_it_can() -> None:
    asked = _trial("t1300m", devices=8, expert_parallel=8)
    placed = cheapest(asked, H100, 64)
    assert placed is not None and placed.training.expert_parallel == 8 and placed.training.zero_stage < 3
    assert placed.needed_bytes < 80e9
    few = cheapest(_trial("t1300m", devices=8, expert_parallel=8), GPUS["b200"], 4)
    assert few is None or few.training.expert_parallel == 1


def test_auto_takes_the_largest_micro_batch_that_has_room() -> None:
    trial = _trial("t1300m", devices=64, zero_stage=3, recompute="blocks")
    sizes = [micro_batch_of(trial, room) for room in (20e9, 30e9, 80e9)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] == 8
    assert micro_batch_of(trial, None) == 8
    assert micro_batch_of(_trial("t1300m", devices=64, micro_batch=2), 1e9) == 2


def test_what_is_computed_again_costs_a_forward_pass_each() -> None:
    assert passes(_trial("t1300m", devices=64), 8) == 3
    assert passes(_trial("t1300m", devices=64), 4) == 4  # the loads are counted first
    assert passes(_trial("t1300m", devices=64, recompute="blocks"), 4) == 5
    own = _trial("t1300m", devices=64).model_copy(update={"aux_loss_sequences": 64})
    assert passes(own, 4) == 3


def test_what_does_not_fit_is_said_so() -> None:
    trial = _trial("t1300m")
    assert cheapest(trial, H100, 1) is None and fewest(trial, H100, 1) is None
    least = fewest(trial, H100, 64)
    assert least is not None and cheapest(trial, H100, least) is not None
    assert cheapest(trial, H100, least - 1) is None


def test_every_kind_of_gpu_that_has_a_name_is_in_the_table() -> None:
    assert set(GPUS) == set(get_args(GpuName))
