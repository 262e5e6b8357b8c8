"""Recipes as `lrladder recommend` prints them, run, and what they must set."""

from types import SimpleNamespace

from lrladder.benchmark.config.parts import OptimizerConfig
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.recommend.formats import Format, text
from lrladder.benchmark.recommend.study import Advice
from lrladder.benchmark.schedules import Reference, ScheduleConfig, factor
from lrladder.benchmark.training.recipe import trial_recipe
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape
from tests.benchmark.trials import tiny_trial

SEQ, STEPS = 32, 30
BATCH = 2 * SEQ
SCHEDULES = {
    "linear": ScheduleConfig(warmup_tokens=5 * BATCH, decay_fraction=0.3),
    "to a tenth": ScheduleConfig(warmup_tokens=5 * BATCH, decay_fraction=0.3, decay_to=0.1),
    "1 - sqrt": ScheduleConfig(warmup_tokens=5 * BATCH, decay_fraction=0.3, decay="sqrt"),
    "exponential": ScheduleConfig(warmup_tokens=5 * BATCH, decay_fraction=0.3, decay="exponential", decay_to=0.01),
    "cosine": ScheduleConfig(kind="cosine", warmup_tokens=5 * BATCH),
    "power": ScheduleConfig(kind="power", warmup_tokens=5 * BATCH, decay_fraction=0.3),
    "constant": ScheduleConfig(kind="constant", warmup_tokens=5 * BATCH),
    "no whole warm-up": ScheduleConfig(warmup_tokens=5 * BATCH + 7, decay_fraction=0.3),
}
ARCHITECTURE = Architecture(qk_norm="head", rope_theta=1e6)


def shape_of(width: int = 48, depth: int = 4, architecture: Architecture = ARCHITECTURE, **sizes: int) -> ModelShape:
    given = {"num_experts": 4, "top_k": 2, "expert_width": width, "head_size": 8, "kv_heads": 2, **sizes}
    return ModelShape(
        vocab_size=96, width=width, depth=depth, heads=width // 8, seq_len=SEQ, architecture=architecture, **given
    )


def advice_of(shape: ModelShape, schedule: ScheduleConfig = SCHEDULES["linear"]) -> Advice:
    """For a model three times as wide and twice as deep as its base, so that LR, decay and eps differ by kind."""
    base = Base(shape=shape.model_copy(update={"width": 16, "depth": 2, "heads": 2}), batch_tokens=BATCH, tokens=640)
    settings = OptimizerConfig(eps=1e-6, weight_decay=0.3)
    trial = tiny_trial(
        shape=shape, base=base, optimizer=settings, schedule=schedule, batch_tokens=BATCH, horizons=(STEPS * BATCH,)
    )
    recipe = trial_recipe(trial, parametrization="mup")
    assert recipe.has_multipliers
    return Advice(
        lrs=recipe.lrs,
        paradigm="mutransfer",
        why="a test",
        others=(),
        parametrization="mup",
        rung=None,
        sizes=shape,
        n_active=shape.n_active,
        tokens=STEPS * BATCH,
        batch_tokens=BATCH,
        lr=0.01,
        lr_low=None,
        lr_high=None,
        extrapolation=1.0,
        flags=(),
        recipe=recipe,
        schedule=schedule,
        reference=Reference(BATCH, 640),
    )


def run(advice: Advice, form: Format) -> SimpleNamespace:
    """What `recommend --format FORM` prints, executed."""
    scope: dict[str, object] = {}
    exec(text(advice.fold(), form), scope)
    return SimpleNamespace(**scope)


def peak(advice: Advice, kind: str) -> dict[str, float]:
    """LR at the peak, weight decay and eps of a kind of parameter."""
    recipe = advice.fold().recipe
    assert recipe is not None
    (setting,) = [one for one in recipe.settings if one.kind == kind]
    return setting.model_dump(include={"lr", "weight_decay", "eps"})


def ours(advice: Advice, step: int) -> float:
    """By what training multiplies the LRs at a step."""
    assert advice.schedule is not None
    assert advice.reference is not None
    return factor(advice.schedule, step * BATCH, batch_tokens=BATCH, horizon=advice.tokens, at=advice.reference)


def points() -> list[int]:
    """Ten steps: the first ones, the ends of warm-up and of the stable LR, and the last ones."""
    return [0, 1, 4, 5, 15, 20, 21, 22, STEPS - 2, STEPS - 1]
