"""Priors say that they cover what papers publish, a preset and the prose quote it: here that is checked."""

import re

import pytest

from lrladder.benchmark.studies.regret.config import load_config
from lrladder.paradigms import published
from lrladder.paradigms.laws import batch_law, design
from lrladder.paradigms.laws.design import Slope
from tests.paths import ROOT

SIZES = [getattr(published, f"{name}_N") for name in ("FITTING", "BJORCK", "PORIAN", "STEP_LAW", "REFIT", "JOINT_MOE")]
AT_A_BATCH = [published.POWER_D, published.FITTING_D, published.BJORCK_D, published.REFIT_D, published.SDE_D]
BATCH_FREE = [published.STEP_LAW_D, published.MOE_SPARSITY_REFIT_D, published.DEEPSEEK_C]


@pytest.mark.parametrize(
    ("prior", "exponents"),
    [
        (design.PRIORS["size"], SIZES),
        (design.PRIORS["tokens"], AT_A_BATCH),
        (design.PRIORS["batch"], [published.REFIT_B, published.SDE_B, published.POWER_B]),
        (design.PRIORS["sparsity"], [published.REFIT_A, published.MOE_SPARSITY_A, published.JOINT_MOE_A]),
        (design.MOVING_BATCH_TOKENS, BATCH_FREE),
        (design.UNKNOWN_BATCH_TOKENS, [*AT_A_BATCH, *BATCH_FREE]),
        (design.FLOPS, [published.DEEPSEEK_C, published.MOE_SPARSITY_C]),
    ],
)
def test_published_exponents_lie_within_two_sds_of_a_prior(prior: Slope, exponents: list[float]) -> None:
    assert all(abs(exponent - prior.mean) <= 2 * prior.sd for exponent in exponents)


def test_published_batch_exponents_lie_within_half_an_sd_of_the_prior() -> None:
    for exponent in (published.STEP_LAW_BATCH, published.MOE_SPARSITY_BATCH, published.POWER_LINES_BATCH):
        assert abs(exponent - batch_law.PRIOR_W) <= batch_law.PRIOR_SD / 2


def test_the_preset_that_simulates_the_published_law_has_its_exponents() -> None:
    simulated = load_config("moe12b").simulated
    assert simulated is not None
    assert (simulated.law.u, simulated.law.v) == (-published.FITTING_N, -published.FITTING_D)
    assert simulated.law.k == pytest.approx(published.FITTING_K * 1e6**-published.FITTING_N, rel=0.01)


@pytest.mark.parametrize(
    ("source", "u", "v"),
    [
        ("2601.05049", -published.FITTING_N, -published.FITTING_D),
        ("2409.19913", -published.BJORCK_N, -published.BJORCK_D),
        ("2503.04715", -published.STEP_LAW_N, -published.STEP_LAW_D),
        ("2408.13359", None, -published.POWER_D),
    ],
)
def test_the_theorys_table_quotes_them(source: str, u: float | None, v: float) -> None:
    text = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| [^|]*{source} \|([^|]*)\|([^|]*)\|", text, re.MULTILINE)
    said = [None if cell.strip() == "-" else float(cell) for cell in row]
    assert said == [None if u is None else pytest.approx(u, abs=5e-4), pytest.approx(v, abs=5e-4)]
