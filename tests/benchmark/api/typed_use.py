"""A user's script as mypy sees it in strict mode. `make lint` checks it; nothing runs it."""

from pathlib import Path
from typing import assert_type

import pandas as pd
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

import lrladder as ll


def from_model_to_study() -> ll.Run:
    model = ll.Model.from_hf(Path("config.json"), seq_len=128)
    goal = ll.Goal(tokens=1e12, batch_tokens=4_194_304)
    study = assert_type(ll.design(model, goal, budget=0.05), ll.Study)
    plan = assert_type(study.plan(gpus=8, gpu="h100"), ll.Plan)
    assert_type(plan.runs, pd.DataFrame)
    assert_type(plan.planned.hours, float)
    return ll.run(study, out="runs/q")


def from_study_to_optimizer(run: ll.Run, model: ll.Model, goal: ll.Goal, hf_model: nn.Module) -> LambdaLR:
    assert_type(run.measurements, pd.DataFrame)
    assert_type(run.page, Path | None)
    assert_type(run.law, ll.Law)
    assert_type(run.law.predict(n_active=2.7e9, tokens=1e12).lr, float)
    rec = assert_type(run.recommend(model, goal), ll.Recommendation)
    assert_type(rec.lr_by_role, dict[str, float])
    return assert_type(rec.scheduler(AdamW(rec.param_groups(hf_model))), LambdaLR)


def from_own_runs(frame: pd.DataFrame) -> float:
    fit = assert_type(ll.fit(frame, columns={"lr": "learning_rate"}), ll.Fit)
    try:
        following = fit.recommend(n_params=1e9, tokens=1e11).next_sweep
        return assert_type(following.n_params, float) if following else 0.0
    except ll.InputError:
        return 0.0


def own_trainer(folder: Path) -> int:
    rows: list[dict[str, object]] = [{"name": job.name, "loss": 1.0} for job in ll.ask(folder)]
    return assert_type(ll.tell(folder, rows, replace=True).finished, int)


def weights(run: ll.Run, trial: str) -> float:
    return assert_type(ll.export(run, trial, "checkpoint").difference, float)


def a_name_that_is_none_of_ours() -> None:
    ll.recommend  # type: ignore[attr-defined]  # noqa: B018
