"""One trial, read top to bottom: a trunk trained once, and a decay branch from it for each horizon."""

import math
from pathlib import Path
from statistics import fmean

from lrladder.benchmark.lab.trial import Trial, branch_point
from lrladder.benchmark.training.checkpoints import MAX_BYTES, Reading, Stored, live_state, save, size_of
from lrladder.benchmark.training.corpus import Corpus
from lrladder.benchmark.training.loop import Diverged, Log, Run
from lrladder.benchmark.training.metrics import validate
from lrladder.benchmark.training.optimizer import tau_ema
from lrladder.models.compiled import uncompiled
from lrladder.models.experts import gemm_of
from lrladder.paradigms.lab import Measurement

LOSSES_READ = 16  # steps whose mean is the training loss of a reading


def train(
    trial: Trial,
    corpus: Corpus,
    *,
    log: Log,
    trunks: Path | None = None,
    keep: bool = False,
    compiled: bool = False,
) -> list[Measurement]:
    """Train one trial and read it at each horizon, shortest first. A divergence is a result, not an error.

    A long run leaves checkpoints in the folder `trunks`, from which the next call continues. With `keep` its trunk
    stays there, to be continued to longer horizons.
    """
    corpus.require(max(trial.horizons))
    path = trunks / f"{trial.trunk_id if trial.schedule.has_trunk else trial.id}.pt" if trunks is not None else None
    run = Run(trial, corpus, log, path=path, compiled=compiled)
    try:
        run.resume()
        _read_all(run)
        if path is not None:
            _keep(run, path, keep=keep and trial.schedule.has_trunk)
    finally:
        run.engine.destroy()
    return [
        Measurement(
            trial_id=trial.id,
            rung="",  # labels of the study, put there by the lab
            parametrization="",
            lr=trial.lr,
            seed=trial.seed,
            horizon=horizon,
            verdict=run.readings[horizon][0],
            flops=trial.flops,
            seconds=run.seconds,
            trained_tokens=run.trained_tokens,
            role_lrs=trial.role_lrs,
            expert_gemm=gemm_of(trial.expert_backend) if trial.shape.num_experts > 1 else None,
            compiled=run.compiled,
            **run.readings[horizon][1],
        )
        for horizon in trial.horizons
    ]


def _read_all(run: Run) -> None:
    """Every horizon of the trial; once the trunk itself has diverged, no later one can be read."""
    for horizon in run.trial.horizons:
        if horizon not in run.readings and run.ended is None:
            try:
                run.readings[horizon] = read_horizon(run, horizon)
            except Diverged as reason:
                run.ended = _where(run, reason)
    if run.ended is not None:
        lost: Reading = ("diverged", {"message": run.ended, "metrics": run.watch.read_diverged(run.losses)})
        run.readings |= {h: lost for h in run.trial.horizons if h not in run.readings}


def _keep(run: Run, path: Path, *, keep: bool) -> None:
    """The trunk where it is to be kept and small enough; else, where a checkpoint lies, no more than what was read."""
    state = live_state(run.engine)
    if keep and run.ended is None and size_of(state) > MAX_BYTES:
        run.log({"note": "the trunk is too large to be kept; longer horizons will train anew"})
        keep = False
    if keep or path.exists():
        try:
            save(path, Stored(run.known(), state if keep and run.ended is None else None, None))
        except OSError as error:
            run.log({"note": f"the trunk could not be written: {error}"})


def read_horizon(run: Run, horizon: int) -> Reading:
    """Take the trunk to the branch point, decay to zero and validate; the trunk is left as it was there."""
    if run.decaying_to != horizon or run.trunk is None:  # else it was interrupted there
        run.train_to(branch_point(horizon, run.trial), horizon=horizon)
        run.trunk, run.decaying_to = run.snapshot(), horizon
    try:
        run.train_to(horizon, horizon=horizon)
        return _reading(run)
    except Diverged as reason:
        return "diverged", {"message": _where(run, reason), "metrics": run.watch.read_diverged(run.losses)}
    finally:
        run.return_to(run.trunk)
        run.trunk = run.decaying_to = None


def _where(run: Run, reason: Diverged) -> str:
    return f"{reason}, lr {run.trial.lr:.3g}"


def _reading(run: Run) -> Reading:
    run.engine.eval()
    with uncompiled():  # another batch size, once a horizon
        found = validate(run.engine.module, run.corpus.val_windows)
    run.engine.train()
    if not math.isfinite(found.loss) or found.loss > run.rule.limit:
        return "diverged", {
            "message": f"validation loss {found.loss:.3f} is above {run.rule.limit:.3f}, no better than a guess",
            "metrics": run.watch.read_diverged(run.losses),
        }
    metrics = {
        **run.watch.read(run.losses),
        "train_loss": fmean(run.losses[-LOSSES_READ:]),
        "max_violation": found.max_violation,
    }
    if (tau := tau_ema(run.trial, run.engine.optimizer.param_groups, run.tokens)) is not None:
        metrics["tau_ema"] = tau
    return "finished", {"loss": found.loss, "loss_se": found.loss_se, "metrics": metrics}
