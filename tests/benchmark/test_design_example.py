"""The worked example of docs/design.md: one LR from the config to the optimizer, with every number recomputed."""

from collections.abc import Iterator, Mapping

import pytest

from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.trial import Trial, branch_point, reference, token_rule_of
from lrladder.benchmark.schedules import factor
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.regret.making import make_paradigm
from lrladder.benchmark.training.optimizer import build_engine, set_lrs
from lrladder.paradigms.lab import Request
from lrladder.paradigms.mutransfer.paradigm import MuTransfer
from lrladder.paradigms.sweep.curve import Curve
from tests.paths import ROOT

BEST_LR = 0.032  # what the search is supposed to find
DECAY_STEP = 39
TARGET, HORIZON = "t64x3", 393216


@pytest.fixture(scope="module")
def text() -> str:
    """The section, with every run of white space as one space."""
    whole = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    _, _, rest = whole.partition("## One learning rate, step by step")
    return " ".join(rest.partition("\n## ")[0].split())


@pytest.fixture(scope="module")
def config() -> RegretConfig:
    return load_config("cpu")


@pytest.fixture(scope="module")
def request_(config: RegretConfig) -> Request:
    """The first validation run of muTransfer's proposal at the target."""
    mutransfer, proxy = make_paradigm(config, "mutransfer"), config.rungs.rung("p32x2")
    assert isinstance(mutransfer, MuTransfer)
    curve = Curve("interior", 8, lr_best=BEST_LR, lr_low=BEST_LR / 1.1, lr_high=BEST_LR * 1.1)
    mutransfer.learn([proxy], {(proxy.name, max(proxy.horizons)): curve})
    proposal = mutransfer.propose(config.rungs.rung(TARGET), HORIZON)
    return Request(
        TARGET,
        config.entries["mutransfer"].parametrization,
        proposal.lr,
        config.validation.seeds[0],
        (proposal.horizon,),
    )


@pytest.fixture(scope="module")
def trial(config: RegretConfig, request_: Request) -> Trial:
    (found,) = resolve(request_, config, corpus_digest="", precision="fp32")
    return found


def by_role(values: Mapping[str, float]) -> Iterator[str]:
    """Rows of a table, as the document has them: roles with the same value share one."""
    for roles in (("embedding",), ("head",), ("norm",), ("attention", "router", "expert up", "expert down")):
        found = {values[role.replace(" ", "_")] for role in roles}
        assert len(found) == 1, f"{roles}: {found}"
        yield f"| {', '.join(roles)} | {found.pop():.4g} |"


def test_the_config_and_the_proposal(text: str, config: RegretConfig, request_: Request) -> None:
    base, target = config.base, config.rungs.rung(TARGET)
    assert "`base: p32x2` (width 32, depth 2)" in text
    assert (config.base_rung, base.shape.width, base.shape.depth) == ("p32x2", 32, 2)
    recipe = config.recipe
    assert f"`embedding_lr: {recipe.embedding_lr:g}` and `head_lr: {recipe.head_lr:g}`" in text
    assert f"LR of the embedding is {recipe.embedding_lr:g} times that of the matrices" in text
    assert f"the head's is {recipe.head_lr:g} times that" in text
    assert f"{base.tokens:,} tokens, at {base.batch_tokens:,} tokens per batch" in text
    assert f"`warmup_tokens: {config.schedule.warmup_tokens}`" in text
    assert f"the last {config.schedule.decay_fraction:.0%} of the run" in text
    where = f"`{TARGET}` (width {target.shape.width}, depth {target.shape.depth}), with the same batch"
    assert f"{where} and {HORIZON:,} tokens" in text
    assert (target.horizons, target.batch_tokens) == ((HORIZON,), base.batch_tokens)
    assert request_.lr == BEST_LR
    assert f"the best LR {BEST_LR}" in text
    asked = (
        f'rung="{TARGET}", parametrization="mup", lr={request_.lr}, seed={request_.seed}, horizons={request_.horizons}'
    )
    assert f"`Request({asked})`" in text


def test_the_rules(text: str, trial: Trial) -> None:
    width, depth = trial.shape.width / trial.base.shape.width, trial.shape.depth / trial.base.shape.depth
    assert f"The width ratio is 64 / 32 = {width:g}" in text
    assert f"ratio is 3 / 2 = {depth:g}" in text
    assert f"1 / {width:g} = {1 / width:g}" in text
    assert HORIZON / trial.base.tokens == 3
    assert f"token ratio^-0.3509 = 3^-0.3509 = {token_rule_of(trial).lr:.4g}" in text


def test_the_groups_and_the_step(text: str, trial: Trial) -> None:
    begins = branch_point(HORIZON, trial)
    steps = (HORIZON - begins) // trial.batch_tokens
    at = begins + (DECAY_STEP - 1) * trial.batch_tokens
    left = factor(trial.schedule, at, batch_tokens=trial.batch_tokens, horizon=HORIZON, at=reference(trial))
    assert f"Warm-up ends after {trial.schedule.warmup_tokens // trial.batch_tokens} steps" in text
    assert f"the decay begins at {begins:,} tokens. It has {steps} steps" in text
    assert f"Its {DECAY_STEP}th step begins at {at:,} tokens" in text
    assert f"({steps} + 1 - {DECAY_STEP}) / ({steps} + 1) = {left:.4f} of the peak" in text
    assert left == pytest.approx((steps + 1 - DECAY_STEP) / (steps + 1))

    engine = build_engine(trial)
    try:
        set_lrs(engine, trial.lr)
        multipliers = {role: g["lr_multiplier"] for g in engine.optimizer.param_groups for role in g["roles"]}
        peaks = {role: g["lr"] for g in engine.optimizer.param_groups for role in g["roles"]}
        set_lrs(engine, trial.lr * left)
        lrs = {role: g["lr"] for g in engine.optimizer.param_groups for role in g["roles"]}
    finally:
        engine.destroy()
    for row, peak in zip(by_role(multipliers), by_role(peaks), strict=True):
        assert f"{row[:-2]} | {peak.split('| ')[-1]}" in text
    assert all(row in text for row in by_role(lrs))
