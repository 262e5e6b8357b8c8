"""Explains a design in ten lines: its models, cost, extrapolation, expected interval, compromises and assumptions."""

from collections.abc import Iterator

from lrladder.benchmark.design.layout import TARGET_RUNS, TRANSFER, VALIDATION, Layout, PlannedRung
from lrladder.benchmark.design.proportions import BYTES_PER_PARAMETER
from lrladder.benchmark.design.public_config import Public
from lrladder.benchmark.design.simulation import Expected
from lrladder.benchmark.design.study_text import TIED_LR
from lrladder.benchmark.training.gpus import GPUS, SUSTAINED, GpuName
from lrladder.models.shape import ModelShape
from lrladder.paradigms.extrapolation import CHECKED
from lrladder.paradigms.laws.design import PRIORS, Column
from lrladder.paradigms.laws.posterior import OWN_SD, SIZE_SD


def words(layout: Layout, public: Public, found: Expected, *, gpu: GpuName | None, gpus: int) -> Iterator[str]:
    """The lines. With a `gpu`, a key of GPUS, costs are also given in days on `gpus` of them."""
    goal, shape = layout.goal, layout.goal.shape
    counts = f"{shape.n_active:,} active of {shape.n_total:,} parameters"
    run = f"{goal.tokens:.3g} tokens in batches of {goal.batch_tokens:.3g}"
    yield f"goal: {public.model_type}, {counts}, {run}: {goal.flops:.2e} FLOPs{_days(goal.flops, gpu, gpus)}"
    sizes = (f"{rung.name} ({rung.proxy.shape.n_active / 1e6:.3g}M, {_ends(rung)})" for rung in layout.proxies)
    yield f"proxies (active parameters, tokens): {', '.join(sizes)}; muTransfer searches {layout.base}"
    yield _target_words(layout)
    price = f"{goal.budget:.3g} runs of the goal{_days(goal.budget * goal.flops, gpu, gpus)}"
    yield f"cost: at most {price}; in the median of the simulated studies Fitting's search took {found.cost:.2g} runs"
    yield f"extrapolation to the goal: {_factors(layout)}"
    yield _interval(found)
    yield _laws()
    gave = dict.fromkeys(f"{rung.name}: {way}" for rung in _all(layout) for way in rung.proxy.gave_way)
    yield f"proportions that were given up: {'; '.join(gave) or 'nothing'}"
    yield f"left out: {'; '.join(public.left_out) or 'nothing'}{_aux(public)}"
    mfu = f"; {SUSTAINED:.0%} of the peak of {gpu}" if gpu else ""
    yield (
        f"assumed: a model fits if {BYTES_PER_PARAMETER} bytes a parameter do, without activations; "
        f"{_recipe(shape)}; batches grow with the square root of tokens{mfu}"
    )


def _recipe(shape: ModelShape) -> str:
    if shape.architecture.tied:
        return (
            f"the one matrix of embedding and head has {TIED_LR:g} times the LR of the others (tune-recipe tests it), "
            "and muTransfer's depth rule holds beside a tied head, which nobody measured"
        )
    return "the base recipe of preset modules"


def _interval(found: Expected) -> str:
    return (
        f"interval: {found.half_width:.2f} octaves to either side in the median of {found.studies} simulated studies "
        f"of Fitting (80% of them {found.low:.2f} to {found.high:.2f}); {found.answered} answered, and "
        f"{found.covered:.0%} of their 90% intervals contained the true best LR; muTransfer's interval is not simulated"
    )


def _laws() -> str:
    names: tuple[Column, ...] = ("size", "tokens", "batch")
    priors = ", ".join(f"{PRIORS[k].mean:g} +- {PRIORS[k].sd:g} of {n}" for k, n in zip(names, "NDB", strict=True))
    return (
        f"simulated laws: exponents are drawn from the priors of `lrladder fit` ({priors}); best LRs scatter about the "
        f"law by an sd of {OWN_SD:g} each and {SIZE_SD:g} by size (ln lr); noise and curvature are Step Law's"
    )


def _aux(public: Public) -> str:
    if public.aux_loss_coef is None:
        return ""
    if not public.aux_loss_coef and public.shape.architecture.expert_bias:
        return "; no balance loss (optimizer.aux_loss_coef 0): a bias of step optimizer.bias_rate balances the experts"
    coefficient = f"optimizer.aux_loss_coef {public.aux_loss_coef:.3g}"
    return f"; the coefficient of the file's balance loss became {coefficient}, in our units"


def _all(layout: Layout) -> tuple[PlannedRung, ...]:
    return (*layout.proxies, *((layout.target,) if layout.target else ()))


def _ends(rung: PlannedRung) -> str:
    return " and ".join(f"{horizon / 1e9:.3g}B" for horizon in rung.horizons)


def _target_words(layout: Layout) -> str:
    target = layout.target
    if target is None:
        why = "none was asked for" if not layout.goal.validate else "its share of the budget is too small for one"
        return f"validation target: none ({why}), so the study has no regret and no conclusion"
    active = target.proxy.shape.n_active / 1e6
    return (
        f"validation target: {target.name} ({active:.3g}M active) on {_ends(target)} tokens, "
        f"about {TARGET_RUNS} runs for {VALIDATION:.0%} of the budget; muTransfer's search gets {TRANSFER:.0%}"
    )


def _factors(layout: Layout) -> str:
    largest, goal = layout.largest, layout.goal
    longest = max(max(rung.horizons) for rung in layout.proxies)
    run = max(rung.proxy.shape.flops_per_token * max(rung.horizons) for rung in layout.proxies)
    n = goal.shape.n_active / largest.proxy.shape.n_active
    batch = goal.batch_tokens / max(rung.batch_tokens for rung in layout.proxies)
    flops = goal.flops / run
    far = f"; no interval was checked beyond {CHECKED:g}x, so `recommend` asks for --force" if flops > CHECKED else ""
    return f"{n:.3g}x in N, {goal.tokens / longest:.3g}x in D, {batch:.3g}x in batch, {flops:.3g}x in FLOPs{far}"


def _days(flops: float, gpu: GpuName | None, gpus: int) -> str:
    if gpu is None:
        return ""
    return f", {flops / (GPUS[gpu].flops_per_second * SUSTAINED * gpus) / 86400:.3g} days on {gpus} {gpu}"
