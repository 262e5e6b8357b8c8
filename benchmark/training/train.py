"""Trains one trial: the trunk once, and from it a decay branch for each horizon."""

import math
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean

from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial import Trial, branch_point
from lrladder.benchmark.training.averaging import average_in_place
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.divergence import Diverged
from lrladder.benchmark.training.loop import Log, Loop
from lrladder.benchmark.training.optimizer import share_of, tau_ema
from lrladder.benchmark.training.reading import Reading
from lrladder.benchmark.training.run import Decay, Run
from lrladder.benchmark.training.shared import ALONE, Sharing
from lrladder.models.compiled import uncompiled
from lrladder.models.experts import gemm_of

LOSSES_READ = 16  # last steps, whose mean loss is the training loss of a reading; assumption


def train(
    trial: Trial,
    corpus: Corpus,
    *,
    log: Log,
    trunks: Path | None = None,
    keep: bool = False,
    weights: Path | None = None,
    micro_batch: int | None = None,
    compiled: bool = False,
    sharing: Sharing = ALONE,
) -> list[TrialMeasurement]:
    """Train one trial and evaluate it at each horizon, shortest first. A divergence is a result, not an error.

    A long run writes checkpoints to the folder `trunks`, from which the next call continues. With `keep` the trunk
    stays there, so that the run can continue to longer horizons. The weights that were validated at each horizon are
    kept in the folder `weights`, if one is given. `micro_batch` is the number of sequences that each rank takes at a
    time; None: its whole share of the batch. `sharing` says who else may write the checkpoints.
    """
    corpus.require(max(trial.horizons))
    path = trunks / f"{trial.run_id}.pt" if trunks is not None else None
    run = Run(
        trial, corpus, log, path=path, weights=weights, micro_batch=micro_batch, compiled=compiled, sharing=sharing
    )
    try:
        run.resume()
        _read_all(run)
        run.save_end(keep_trunk=keep and trial.schedule.has_trunk)
    finally:
        run.loop.engine.destroy()
    return _measurements(run)


def _measurements(run: Run) -> list[TrialMeasurement]:
    trial = run.trial
    return [
        TrialMeasurement.of(
            trial,
            horizon,
            seconds=run.seconds,
            setup_seconds=run.setup_seconds,
            trained_tokens=run.trained_tokens,
            expert_gemm=gemm_of(trial.expert_backend) if trial.shape.num_experts > 1 else None,
            compiled=run.loop.compiled,
            training=_training(run.loop),
            **dict(run.readings[horizon]),
        )
        for horizon in trial.horizons
    ]


def _training(loop: Loop) -> dict[str, int | str]:
    """The settings that differ from one device with the whole batch at once."""
    found = loop.trial.training.model_dump(exclude_defaults=True, exclude={"micro_batch"})
    split = loop.micro_batch < share_of(loop.trial)
    return {**found, **({"micro_batch": loop.micro_batch} if split else {})}


def _read_all(run: Run) -> None:
    """Read every horizon of the trial. If the trunk itself diverges, all later horizons count as diverged."""
    for horizon in run.trial.horizons:
        if horizon not in run.readings and run.ended is None:
            try:
                run.readings[horizon] = read_horizon(run, horizon)
            except Diverged as reason:
                run.ended = _where(run.loop, reason)
    if run.ended is not None:
        lost = _diverged(run.loop, run.ended)
        run.readings |= {h: lost for h in run.trial.horizons if h not in run.readings}


def read_horizon(run: Run, horizon: int) -> Reading:
    """Train the trunk to the branch point, decay and validate. Then return to the trunk at the branch point."""
    if run.decay is None or run.decay.horizon != horizon:  # otherwise the decay was interrupted and goes on
        run.train_to(branch_point(horizon, run.trial), horizon=horizon)
        run.decay = Decay(run.loop.snapshot(), horizon)
    try:
        run.train_to(horizon, horizon=horizon)
        return _read(run, horizon)
    except Diverged as reason:
        return _diverged(run.loop, _where(run.loop, reason))
    finally:
        run.loop.return_to(run.decay.began)
        run.decay = None


def _read(run: Run, horizon: int) -> Reading:
    """Validate the model as it stands, or the average of its weights, and keep what was validated if that is asked."""
    loop = run.loop
    averaged = average_in_place(loop.engine) if loop.trial.schedule.read == "ema" else nullcontext()
    loop.engine.eval()
    with uncompiled(), averaged:  # uncompiled because the batch size differs and this runs once per horizon
        found, limit = loop.validate(), loop.numbers.rule.limit
        has_learnt = math.isfinite(found.loss) and found.loss <= limit
        if has_learnt:
            run.keep_weights(horizon)
    loop.engine.train()
    if not has_learnt:
        return _diverged(loop, f"validation loss {found.loss:.3f} is above {limit:.3f}, no better than a guess")
    metrics = {
        **loop.watch.read(loop.losses),
        "train_loss": fmean(loop.losses[-LOSSES_READ:]),
        "max_violation": found.max_violation,
    }
    if (tau := tau_ema(loop.trial, loop.engine.optimizer.param_groups, loop.tokens)) is not None:
        metrics["tau_ema"] = tau
    return Reading(verdict="finished", loss=found.loss, loss_se=found.loss_se, metrics=metrics)


def _diverged(loop: Loop, message: str) -> Reading:
    return Reading(verdict="diverged", message=message, metrics=loop.watch.read_diverged(loop.losses))


def _where(loop: Loop, reason: Diverged) -> str:
    return f"{reason}, lr {loop.trial.lr:.3g}"
