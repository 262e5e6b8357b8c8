"""The 90% intervals of LR regret and of regret hold their promise through the whole scoring, on simulated targets."""

import math

import numpy as np
import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config, parse_config
from lrladder.benchmark.studies.regret.scoring.comparison import compare
from lrladder.benchmark.studies.regret.scoring.near import near_runs, target_noises
from lrladder.paradigms.lab import Measurement, ParametrizationName
from lrladder.paradigms.paradigm import Proposal
from tests.benchmark.studies.regret.simulated_studies import NEAR, OFF
from tests.paths import TWO_TARGETS

SD, BOWL = 0.007, 0.040  # nats; nats per octave^2: those of the preset `cpu`
REGRET = BOWL * OFF**2
STUDIES = 30
CPU = load_config(TWO_TARGETS)
BASE = CPU.model_copy(update={"entries": {name: CPU.entries[name] for name in ("fitting", "mutransfer")}})


def with_seeds(seeds: tuple[int, ...], oracle_seeds: tuple[int, ...] | None) -> RegretConfig:
    validation = BASE.validation.model_copy(update={"seeds": seeds, "oracle_seeds": oracle_seeds})
    return BASE.model_copy(update={"validation": validation})


def study(
    config: RegretConfig, rng: np.random.Generator, ends: float, tau: float
) -> tuple[list[Measurement], list[Proposal]]:
    """Two entries under each parametrization, OFF octaves from a best LR whose true loss is 3 nats in both."""
    measured, proposals = [], []
    for rung in config.rungs.targets:
        for horizon in rung.read:
            own = 0.05 * rng.standard_normal(len(config.validation.seeds))
            for name in ("sp", "mup"):
                best = config.oracle_guess(name) * 2 ** rng.uniform(-0.5, 0.5)
                effects = own + tau * SD * rng.standard_normal(len(own))
                entries = [best * 2 ** (OFF * sign) * (1 + 1e-6 * i) for i, sign in enumerate(rng.choice([-1, 1], 2))]
                runs = [(lr, seed) for lr in entries for seed in config.validation.seeds]
                runs += [
                    (config.oracle_guess(name) * 2.0**k, s) for k in range(-2, 3) for s in config.validation.sweep_seeds
                ]
                for lr, seed in runs:
                    octaves = math.log2(lr / best)
                    sd = SD * (ends if abs(octaves) > NEAR else 1.0)
                    loss = 3 + BOWL * octaves**2 + effects[seed] + sd * rng.standard_normal()
                    measured.append(_run(rung.name, horizon, name, lr, seed, loss))
                proposals += [_proposal(f"{name}{i}", rung.name, horizon, name, lr) for i, lr in enumerate(entries)]
    return measured, proposals


def _run(rung: str, horizon: int, name: ParametrizationName, lr: float, seed: int, loss: float) -> Measurement:
    return Measurement(
        trial_id=f"{rung}-{horizon}-{name}-{lr!r}-{seed}",
        rung=rung,
        parametrization=name,
        lr=lr,
        seed=seed,
        horizon=horizon,
        verdict="finished",
        loss=loss,
        flops=1.0,
    )


def _proposal(paradigm: str, rung: str, horizon: int, name: ParametrizationName, lr: float) -> Proposal:
    return Proposal(
        paradigm=paradigm,
        parametrization=name,
        rung=rung,
        horizon=horizon,
        lr=lr,
        lr_low=lr / 2,
        lr_high=lr * 2,
        extrapolation=1.0,
    )


@pytest.mark.parametrize("oracle_seeds", [(0, 1, 2), (0, 1)], ids=["sweeps with all seeds", "sweeps with two"])
@pytest.mark.parametrize(("ends", "tau"), [(1.0, 0.0), (1 / 3, 0.0), (3.0, 0.0), (1.0, 1.0)])
def test_regrets_are_covered(oracle_seeds: tuple[int, ...] | None, ends: float, tau: float) -> None:
    """At a true coverage of 90%, 86% of 240 readings leaves two standard errors. Full runs: docs/decision.md."""
    config, rng = with_seeds((0, 1, 2), oracle_seeds), np.random.default_rng(5)
    covered: dict[str, list[bool]] = {"lr_regret": [], "regret": []}
    for _ in range(STUDIES):
        measured, proposals = study(config, rng, ends, tau)
        noises = target_noises(config, measured, proposals)
        for rung in config.rungs.targets:
            for horizon in rung.read:
                for entry in compare(config, measured, proposals, rung, horizon, noises, {}).paradigms:
                    for name, found in covered.items():
                        low, high = getattr(entry, f"{name}_low"), getattr(entry, f"{name}_high")
                        found.append(low <= REGRET <= high)
    for name, found in covered.items():
        assert len(found) == STUDIES * 4 * len(config.rungs.targets)
        assert np.mean(found) >= 0.86, name


def test_near_runs_are_all_entries_and_the_swept_lrs_within_half_an_octave() -> None:
    lrs = {0.01: 0.0, 0.01 * 2**0.5: 0.5, 0.01 * 2**0.51: 0.51, 0.02: 1.0, 0.005: -1.0}
    runs = [_run("t", 1, "sp", lr, seed, 3.0) for lr in lrs for seed in (0, 1)]
    near = near_runs(runs, {"sp": 0.01, "mup": None}, {("sp", 0.02)})
    assert {run.point for run in near} == {("sp", lr) for lr, octaves in lrs.items() if octaves in (0.0, 0.5, 1.0)}
    lost = runs[0].model_copy(update={"verdict": "diverged", "loss": None})
    assert ("sp", runs[0].lr) not in {run.point for run in near_runs([lost, *runs[1:]], {"sp": 0.01}, set())}
    assert near_runs(runs, {"sp": None}, set()) == {}


def test_oracle_seeds_are_some_of_the_validation_seeds() -> None:
    text = BASE.model_dump_json()
    assert with_seeds((0, 1, 2), (0, 1)).validation.sweep_seeds == (0, 1)
    assert BASE.validation.sweep_seeds == BASE.validation.seeds
    with pytest.raises(InputError, match=r"oracle_seeds: 7 is not in validation.seeds"):
        parse_config(text.replace('"oracle_seeds":null', '"oracle_seeds":[0,7]'), source="x")
