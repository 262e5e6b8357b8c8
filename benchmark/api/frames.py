"""Results of a study as tidy pandas frames. Where a column has a unit, its name ends with it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd
from pydantic import ValidationError

from lrladder.benchmark import upgrade
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.kinds import KINDS
from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, TargetResult
from lrladder.benchmark.studies.results import StudyResults
from lrladder.paradigms.lab import Measurement


def measurements(results: StudyResults) -> pd.DataFrame:
    """A row for each run at each of its horizons."""
    rungs = _rungs(results)
    rows = [_measurement(one, rungs.get(one.rung)) for one in results.measurements]
    return pd.DataFrame(rows, columns=[*_MEASURED]).astype(_MEASURED)


# Types of the columns, which an empty frame has too. The rung's numbers are missing where an old config cannot be read.
_MEASURED = {
    "trial_id": "str",
    "rung": "str",
    "part": "str",
    "n_active": "Int64",
    "n_total": "Int64",
    "batch_tokens": "Int64",
    "parametrization": "str",
    "lr": "float64",
    "seed": "int64",
    "tokens": "int64",
    "verdict": "str",
    "loss_nats": "float64",
    "loss_se_nats": "float64",
    "role_lrs": "str",
    "run_flops": "float64",
    "run_seconds": "float64",
    "setup_seconds": "float64",
    "trained_tokens": "int64",
    "compiled": "bool",
    "message": "str",
}


def _measurement(one: Measurement, rung: Rung | None) -> dict[str, object]:
    """`role_lrs` has the multipliers of the LRs of roles as text: head=2, router=0.5."""
    return {
        "trial_id": one.trial_id,
        "rung": one.rung,
        **{name: getattr(rung, name, None) for name in ("part", "n_active", "n_total", "batch_tokens")},
        "parametrization": one.parametrization,
        "lr": one.lr,
        "seed": one.seed,
        "tokens": one.horizon,
        "verdict": one.verdict,
        "loss_nats": one.loss,
        "loss_se_nats": one.loss_se,
        "role_lrs": ", ".join(f"{role}={factor:g}" for role, factor in one.role_lrs),
        "run_flops": one.flops,
        "run_seconds": one.seconds,
        "setup_seconds": one.setup_seconds,
        "trained_tokens": one.trained_tokens,
        "compiled": one.compiled,
        "message": one.message,
    }


def _rungs(results: StudyResults) -> Mapping[str, Rung]:
    kind = next(kind for kind in KINDS.values() if kind.schema == results.schema_)
    with suppress(ValidationError):
        return {rung.name: rung for rung in kind.config_model.model_validate(upgrade.config(results.config)).rungs}
    return {}


def scores(results: RegretResults) -> pd.DataFrame:
    """A row for each entry at each target. Regrets are in millinats per token, with 90% intervals."""
    rows = [_score(target, one) for target in results.targets for one in target.paradigms]
    return pd.DataFrame(rows, columns=[*_SCORED]).astype(_SCORED)


_SCORED = {
    "target": "str",
    "n_active": "int64",
    "tokens": "int64",
    "batch_tokens": "int64",
    "entry": "str",
    "parametrization": "str",
    "wins": "bool",
    "lr": "float64",
    "lr_low": "float64",
    "lr_high": "float64",
    "loss_nats": "float64",
    "n_seeds": "int64",
    "n_diverged": "int64",
    "regret_millinats": "float64",
    "regret_low_millinats": "float64",
    "regret_high_millinats": "float64",
    "lr_regret_millinats": "float64",
    "search_cost_target_runs": "float64",
    "extrapolation_flops_ratio": "float64",
}


def _score(target: TargetResult, one: ParadigmResult) -> dict[str, Any]:
    return {
        "target": target.rung,
        **target.model_dump(include={"n_active", "tokens", "batch_tokens"}),
        "entry": one.name,
        "wins": target.winner == one.name,
        **one.model_dump(include={"parametrization", "lr", "lr_low", "lr_high", "n_seeds"}),
        "loss_nats": one.loss,
        "n_diverged": one.diverged,
        "regret_millinats": _millinats(one.regret),
        "regret_low_millinats": _millinats(one.regret_low),
        "regret_high_millinats": _millinats(one.regret_high),
        "lr_regret_millinats": _millinats(one.lr_regret),
        "search_cost_target_runs": one.cost_fraction,
        "extrapolation_flops_ratio": one.extrapolation,
    }


def _millinats(nats: float | None) -> float | None:
    return None if nats is None else 1e3 * nats
