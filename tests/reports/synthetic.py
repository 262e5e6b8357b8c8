"""A realistic Results made from a known law, so that the report can be tested without training."""

import hashlib
import math

from lrladder.benchmark.studies.counts import TrialCounts
from lrladder.benchmark.studies.regret.results import (
    CurveResult,
    LawResult,
    OracleResult,
    ParadigmResult,
    RegretResults,
    RungResult,
    TargetResult,
)
from lrladder.paradigms.lab import Measurement, ParametrizationName

SHAPES = (("p32x2", 32, 2), ("p48x3", 48, 3), ("p64x3", 64, 3), ("t96x3", 96, 3), ("t128x4", 128, 4))
HORIZONS = {"proxy": (131072, 262144), "target": (262144,)}
PARAMETRIZATIONS: tuple[ParametrizationName, ...] = ("sp", "mup")
SEEDS = (1, 2)
CURVATURE = 0.08


def rungs() -> tuple[RungResult, ...]:
    return tuple(_rung(name, width, depth) for name, width, depth in SHAPES)


def _rung(name: str, width: int, depth: int) -> RungResult:
    part = "proxy" if name.startswith("p") else "target"
    active, total = depth * 10 * width**2, depth * 30 * width**2
    return RungResult.model_validate(
        {
            "name": name,
            "part": part,
            "width": width,
            "depth": depth,
            "num_experts": 8,
            "top_k": 2,
            "expert_width": width,
            "n_active": active,
            "n_total": total,
            "batch_tokens": 2048,
            "horizons": HORIZONS[part],
            "flops_per_token": 6 * active,
        }
    )


def best_lr(rung: RungResult, horizon: int, parametrization: str) -> float:
    if parametrization == "mup":
        return float(2**-6.0 * (horizon / 262144) ** -0.2)
    return float(8.0 * rung.n_active**-0.4 * horizon**-0.15)


def best_loss(rung: RungResult, horizon: int, parametrization: str) -> float:
    return float(2.6 + 60 * rung.n_active**-0.4 + 40 / horizon**0.4) + (0.012 if parametrization == "sp" else 0.0)


def measurements(kept: tuple[RungResult, ...]) -> tuple[Measurement, ...]:
    found = []
    for rung in kept:
        for parametrization in PARAMETRIZATIONS:
            for step in range(5):
                lr = 2.0 ** (-8.5 + 1.25 * step)
                for seed in SEEDS:
                    found += [_measurement(rung, parametrization, lr, seed, h) for h in rung.horizons]
    return tuple(found)


def _measurement(rung: RungResult, parametrization: ParametrizationName, lr: float, seed: int, h: int) -> Measurement:
    digest = hashlib.sha256(f"{rung.name}{parametrization}{lr}{seed}".encode()).hexdigest()
    distance = math.log(lr / best_lr(rung, h, parametrization))
    diverged = parametrization == "sp" and lr > 0.08 and rung.part == "target"
    noise = (int(digest[:4], 16) / 65535 - 0.5) * 0.01
    loss = best_loss(rung, h, parametrization) + CURVATURE * distance**2 + 0.006 * max(0.0, distance) ** 3 + noise
    return Measurement(
        trial_id=digest[:16],
        rung=rung.name,
        parametrization=parametrization,
        lr=lr,
        seed=seed,
        horizon=h,
        verdict="diverged" if diverged else "finished",
        loss=None if diverged else loss,
        loss_se=None if diverged else 0.0121,
        flops=float(rung.flops_per_token * max(rung.horizons)),
        seconds=14.2,
        message="loss is nan at step 41" if diverged else "",
    )


def curves(kept: tuple[RungResult, ...]) -> tuple[CurveResult, ...]:
    return tuple(_curve(rung, h, p) for rung in kept for h in rung.horizons for p in PARAMETRIZATIONS)


def _curve(rung: RungResult, horizon: int, parametrization: ParametrizationName) -> CurveResult:
    lr = best_lr(rung, horizon, parametrization)
    return CurveResult(
        rung=rung.name,
        horizon=horizon,
        parametrization=parametrization,
        status="interior",
        n=10,
        lr_best=lr,
        lr_low=lr / 1.25,
        lr_high=lr * 1.3,
        minimum=best_loss(rung, horizon, parametrization),
        curvature=CURVATURE,
        r2=0.98,
    )


def target(rung: RungResult, horizon: int, *, trained: bool = True) -> TargetResult:
    run_flops = float(rung.flops_per_token * horizon)
    oracle = {p: _oracle(rung, horizon, p, run_flops) for p in PARAMETRIZATIONS} if trained else {}
    fitting = _paradigm("fitting", "sp", best_lr(rung, horizon, "sp") * 1.25, 6.4e11, 16.0, run_flops, trained)
    transfer = _paradigm("mutransfer", "mup", best_lr(rung, horizon, "mup") * 0.9, 1.2e11, 3.0, run_flops, trained)
    return TargetResult(
        rung=rung.name,
        n_active=rung.n_active,
        n_total=rung.n_total,
        tokens=horizon,
        batch_tokens=2048,
        run_flops=run_flops,
        oracle=oracle,
        paradigms=(fitting, transfer),
        winner="mutransfer" if trained else None,
        conclusion=f"mutransfer is ahead of fitting at {rung.name} by 14.6 millinats, outside the seed noise."
        if trained
        else f"No proposal has been trained at {rung.name}.",
    )


def _oracle(rung: RungResult, horizon: int, parametrization: str, run_flops: float) -> OracleResult:
    edge = rung.name == "t128x4" and parametrization == "mup"
    lr = best_lr(rung, horizon, parametrization)
    return OracleResult(
        lr=None if edge else lr,
        lr_low=None if edge else lr / 1.2,
        lr_high=None if edge else lr * 1.2,
        loss=best_loss(rung, horizon, parametrization),
        status="edge" if edge else "interior",
        n_lrs=5,
        n_seeds=len(SEEDS),
        cost_flops=10 * run_flops,
    )


def _paradigm(
    name: str, p: ParametrizationName, lr: float, cost: float, flags_at: float, run_flops: float, trained: bool
) -> ParadigmResult:
    gap = 0.012 if p == "sp" else 0.0
    known = {"loss": 3.41, "regret": 0.004 + gap, "regret_low": 0.001 + gap, "regret_high": 0.009 + gap}
    split = {"lr_regret": 0.004, "lr_regret_low": 0.001, "lr_regret_high": 0.009, "parametrization_gap": gap}
    values = {**known, **split}
    return ParadigmResult.model_validate(
        {
            "name": name,
            "parametrization": p,
            "lr": lr,
            "lr_low": lr / 1.4,
            "lr_high": lr * 1.4,
            "extrapolation": flags_at / 2.2,
            "n_seeds": len(SEEDS) if trained else 0,
            "cost_flops": cost,
            "cost_fraction": cost / run_flops,
            "diverged": 0,
            "flags": ("extrapolates 7.3\u00d7 beyond its largest search run",) if p == "sp" else (),
            **(values if trained else dict.fromkeys(values)),
        }
    )


def build_results(**changes: object) -> RegretResults:
    """Complete results; keyword arguments replace fields."""
    ladder = rungs()
    targets = tuple(target(rung, h) for rung in ladder if rung.part == "target" for h in rung.horizons)
    runs = measurements(ladder)
    results = RegretResults(
        preset="synthetic",
        config_digest="c0ffee" * 8,
        corpus_digest="5eed" * 12,
        complete=True,
        missing=(),
        trials=TrialCounts(finished=96, diverged=4, failed=0, trained_now=100),
        seed_noise=0.0031,
        seed_noise_df=48,
        rungs=ladder,
        targets=targets,
        curves=curves(ladder),
        law=LawResult(k=8.0, u=0.4, u_low=0.33, u_high=0.47, v=0.15, v_low=None, v_high=None, n_points=6),
        measurements=runs,
        payers={"fitting": 6.4e11, "mutransfer": 1.2e11, "validation": 9e11, "oracle": 4.1e12},
        config={"name": "synthetic", "ladder": {"num_experts": 8, "top_k": 2}},
        corpus={"source": "a test", "tokens": 12_200_000},
        environment={"python": "3.11.9", "torch": "2.8.0", "cpu": "2 cores"},
    )
    return results.model_copy(update=changes)


def empty_results() -> RegretResults:
    """Nothing has run yet."""
    return build_results(
        complete=False,
        missing=("every trial: nothing has been trained",),
        trials=TrialCounts(),
        seed_noise=None,
        seed_noise_df=0,
        targets=(),
        curves=(),
        law=None,
        measurements=(),
        payers={},
    )


def diverged_results() -> RegretResults:
    """Every run diverged."""
    gone = {"verdict": "diverged", "loss": None, "loss_se": None, "message": "loss is nan at step 3"}
    runs = tuple(m.model_copy(update=gone) for m in build_results().measurements)
    targets = tuple(target(r, h, trained=False) for r in rungs() if r.part == "target" for h in r.horizons)
    return build_results(complete=False, missing=("all",), targets=targets, curves=(), law=None, measurements=runs)


def watched_results(**changes: object) -> RegretResults:
    """With planted metrics. Standard runs of targets: 3 gradient spikes, a quarter of the experts dead, features that
    shrink as 1 / width; muP's: none, none, features that stay."""
    widths = {rung.name: rung.width for rung in rungs()}
    runs, done = [], set()
    for m in build_results().measurements:
        sp, target_run = m.parametrization == "sp", m.rung.startswith("t")
        depth = next(rung.depth for rung in rungs() if rung.name == m.rung)
        change = 64 / widths[m.rung] if sp else 2.0
        metrics = {
            "initial_loss": 6.9,
            "loss_spikes": 0.0,
            "grad_spikes": 3.0 if sp and target_run else 0.0,
            "dead_experts": 0.25 if sp and target_run else 0.0,
            "attention_logit_max": 5.0,
            "max_violation_train": 0.5,
            "max_load": 1.25 if sp else 1.0 + 0.01 * depth,
            "update_ratio/expert_up": 0.01,
            "update_ratio_steady/expert_up": 0.02,
            "alignment_ratio/router": 1.2,
            **{f"feature_change/{i}": change for i in range(depth + 1)},
        }
        runs.append(m.model_copy(update={"metrics": metrics}))
        own = next(
            (
                p
                for t in build_results().targets
                if t.rung == m.rung
                for p in t.paradigms
                if (p.parametrization == "sp") == sp
            ),
            None,
        )
        key = (m.rung, m.parametrization, m.seed)
        if own is not None and key not in done:  # the proposal's own runs
            done.add(key)
            runs.append(
                runs[-1].model_copy(
                    update={
                        "lr": own.lr,
                        "trial_id": f"own{len(runs):013d}",
                        "verdict": "finished",
                        "loss": 3.41,
                        "message": "",
                    }
                )
            )
    return build_results(measurements=tuple(runs)).model_copy(update=changes)


def many_results(trials: int = 1000) -> RegretResults:
    """As many trials as asked for."""
    runs = build_results().measurements
    more = [
        runs[i % len(runs)].model_copy(update={"trial_id": f"{i:016x}", "seed": i // len(runs)}) for i in range(trials)
    ]
    return build_results(measurements=tuple(more))


def single_results() -> RegretResults:
    """One paradigm alone was scored."""
    targets = tuple(
        t.model_copy(update={"paradigms": t.paradigms[:1], "winner": None}) for t in build_results().targets
    )
    return build_results(targets=targets, complete=False, missing=("muTransfer: no interior minimum",))
