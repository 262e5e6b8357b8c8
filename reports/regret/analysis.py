"""Turns the results of a regret study into tidy pandas tables: a row per observation, with fixed columns."""

import math
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter

import numpy as np
import pandas as pd

from lrladder.benchmark.studies.regret.recipes import DEFAULT, Arm, label_of
from lrladder.benchmark.studies.regret.results import CurveResult, LawResult, RegretResults, RungResult
from lrladder.paradigms.lab import Measurement
from lrladder.reports.drawing import labels_of
from lrladder.reports.kept import kept

MEASUREMENT_COLUMNS = (
    "trial_id",
    "rung",
    "part",
    "n_active",
    "parametrization",
    "lr",
    "log2_lr",
    "seed",
    "horizon",
    "verdict",
    "loss",
    "loss_se",
    "flops",
    "seconds",
    "roles",
    "paradigm",
    "purpose",
    "message",
)
ASKED_FOR = ("roles", "paradigm", "purpose")
_MEASURED = [name for name in MEASUREMENT_COLUMNS if name in Measurement.model_fields]
PARADIGM_COLUMNS = (
    "rung",
    "tokens",
    "n_active",
    "name",
    "parametrization",
    "lr",
    "lr_low",
    "lr_high",
    "loss",
    "n_seeds",
    "regret",
    "regret_low",
    "regret_high",
    "cost_flops",
    "cost_fraction",
    "extrapolation",
    "diverged",
)
DRIFT_COLUMNS = ("rung", "n_active", "parametrization", "octaves", "low", "high", "n")
OPTIMUM_COLUMNS = ("entry", "rung", "part", "n_active", "horizon", "lr", "lr_low", "lr_high", "status")


def _frame(rows: Iterable[dict[str, object]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))


def _numeric(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    for column in columns:
        frame[column] = pd.to_numeric(frame[column])
    return frame


@kept
def measurements(results: RegretResults) -> pd.DataFrame:
    """A row per run and horizon, in the order of the ladder, then by horizon, parametrization, LR and seed."""
    rungs = {rung.name: rung for rung in results.rungs}
    order = {name: place for place, name in enumerate(rungs)}
    kept = sorted(
        results.measurements,
        key=lambda m: (order.get(m.rung, len(order)), m.rung, m.horizon, m.parametrization, m.lr, m.seed, m.trial_id),
    )
    proposed, owners = proposals(results), searchers(results)
    parts = {name: (rung.part, rung.n_active) for name, rung in rungs.items()}
    places = {lr: float(np.log2(lr)) if lr > 0 else None for lr in {m.lr for m in kept}}
    measured = attrgetter(*_MEASURED)
    rows = [
        (*measured(m), *asked_for(m, proposed, owners, rungs.get(m.rung)), *parts.get(m.rung, ("", None)), places[m.lr])
        for m in kept  # tuples, as a frame of dictionaries takes twice as long
    ]
    frame = pd.DataFrame(rows, columns=[*_MEASURED, *ASKED_FOR, "part", "n_active", "log2_lr"])[[*MEASUREMENT_COLUMNS]]
    return _numeric(frame, ("n_active", "lr", "log2_lr", "loss", "loss_se", "horizon"))


@kept
def cells(results: RegretResults) -> dict[tuple[str, int, str], list[Measurement]]:
    """The readings by rung, horizon and parametrization, so that not all are looked through for those of one cell."""
    found: dict[tuple[str, int, str], list[Measurement]] = {}
    for m in results.measurements:
        found.setdefault((m.rung, m.horizon, m.parametrization), []).append(m)
    return found


def proposals(results: RegretResults) -> dict[tuple[object, ...], list[str]]:
    """The entries that proposed a run, by (rung, tokens, parametrization, LR, multipliers of roles)."""
    found: dict[tuple[object, ...], list[str]] = {}
    for t in results.targets:
        for p in t.paradigms:
            key = (t.rung, t.tokens, p.parametrization, p.lr, tuple(sorted(p.role_lrs)))
            found.setdefault(key, []).append(p.name)
    return found


def proposers(m: Measurement, proposed: Mapping[tuple[object, ...], list[str]]) -> list[str]:
    """The entries that proposed a run; `proposed` is from `proposals`."""
    return proposed.get((m.rung, m.horizon, m.parametrization, m.lr, m.role_lrs), [])


def searchers(results: RegretResults) -> dict[str, str]:
    """The names of the entries that search under each arm, joined by commas."""
    found: dict[str, list[str]] = {}
    pairs = [(entry.searched, entry.name) for entry in results.entries]
    for label, name in pairs or [(p.parametrization, p.name) for t in results.targets for p in t.paradigms]:
        if name not in found.setdefault(label, []):
            found[label].append(name)
    return {label: ", ".join(names) for label, names in found.items()}


def asked_for(
    m: Measurement,
    proposed: Mapping[tuple[object, ...], list[str]],
    owners: Mapping[str, str],
    rung: RungResult | None,
) -> tuple[str, str, str]:
    """What a run was for, in the columns ASKED_FOR: its multipliers of roles, its entry and its purpose."""
    names = proposers(m, proposed)
    own = owners.get(m.parametrization, m.parametrization)
    part = "search" if rung is None or rung.part == "proxy" else "ablation" if m.role_lrs else "oracle"
    roles = ", ".join(f"{role} x{factor:g}" for role, factor in m.role_lrs)
    return roles, names[0] if names else own, "proposal" if names else part


def finished(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `measurements` that have a finite loss."""
    return frame[(frame["verdict"] == "finished") & np.isfinite(frame["loss"].astype(float))]


def panels(results: RegretResults) -> list[tuple[str, int]]:
    """(rung, horizon) pairs that have at least one measurement, in ladder order."""
    order = {rung.name: place for place, rung in enumerate(results.rungs)}
    found = {(m.rung, m.horizon) for m in results.measurements}
    return sorted(found, key=lambda panel: (order.get(panel[0], len(order)), *panel))


def paradigms(results: RegretResults) -> pd.DataFrame:
    """A row per target, horizon and entry."""
    rows = (
        {"rung": t.rung, "tokens": t.tokens, "n_active": t.n_active, **p.model_dump(include=set(PARADIGM_COLUMNS))}
        for t in results.targets
        for p in t.paradigms
    )
    numeric = [c for c in PARADIGM_COLUMNS if c not in ("rung", "name", "parametrization")]
    return _numeric(_frame(rows, PARADIGM_COLUMNS), numeric)


def laws(results: RegretResults) -> dict[str, LawResult]:
    """The law of each entry that fitted one. Results of an older version have at most one law, of Fitting."""
    found = {entry.name: entry.law for entry in results.entries if entry.law is not None}
    if not found and results.law is not None:
        found = {"fitting": results.law}
    return found


def optima(results: RegretResults) -> pd.DataFrame:
    """The best LRs of each entry that fitted a law, with a row per cell.

    Those at proxies come from its search: its law was fitted to them. Those at targets are the oracle's, which it never
    saw. If no entry fitted a law, the curves under standard parametrization are used.
    """
    entries = [entry for entry in results.entries if entry.law is not None and entry.curves]
    rows: list[dict[str, object]] = []
    for entry in entries:
        rows += _optima(results, entry.name, entry.parametrization, entry.curves)
    if not entries:
        own = [curve for curve in results.curves if curve.parametrization == "sp"]
        rows += _optima(results, next(iter(laws(results)), ""), "sp", own)
    return _numeric(_frame(rows, OPTIMUM_COLUMNS), ("n_active", "horizon", "lr", "lr_low", "lr_high"))


def _optima(
    results: RegretResults, entry: str, label: str, curves: Iterable[CurveResult]
) -> Iterator[dict[str, object]]:
    rungs = {rung.name: rung for rung in results.rungs}
    for c in curves:
        rung = rungs.get(c.rung)
        if rung is not None and rung.part == "proxy" and c.lr_best is not None:
            limits = (c.lr_best, c.lr_low, c.lr_high)
            values = (entry, c.rung, "proxy", rung.n_active, c.horizon, *limits, c.status)
            yield dict(zip(OPTIMUM_COLUMNS, values, strict=True))
    for t in results.targets:
        oracle = t.oracle.get(label)
        if oracle is not None and oracle.lr is not None:
            limits = (oracle.lr, oracle.lr_low, oracle.lr_high)
            values = (entry, t.rung, "target", t.n_active, t.tokens, *limits, oracle.status)
            yield dict(zip(OPTIMUM_COLUMNS, values, strict=True))


def base_rung(results: RegretResults) -> str | None:
    """The name of the base rung; the smallest rung if the config names none."""
    named = results.config.get("base")
    names = [rung.name for rung in results.rungs]
    smallest = min(results.rungs, key=lambda rung: rung.n_active, default=None)
    return str(named) if named in names else smallest.name if smallest else None


def drift(results: RegretResults) -> pd.DataFrame:
    """The best LR of each rung at its longest horizon, in octaves from the best LR at the base under the same arm.

    At the base all parametrizations with the study's own schedule are the same model. So a parametrization that was not
    searched there uses the best LR that another one found. An arm without either is left out.
    """
    longest = {rung.name: (max(rung.horizons, default=0), rung.n_active) for rung in results.rungs}
    own_schedule = [label for label in labels_of(results) if label not in other_schedule(results)]
    best = {(c.parametrization, c.rung): c for c in results.curves if longest.get(c.rung, (0,))[0] == c.horizon}
    best = {key: c for key, c in best.items() if c.lr_best and c.lr_low and c.lr_high}
    base = base_rung(results) or ""
    rows: list[dict[str, object]] = []
    for label in labels_of(results):
        alike = own_schedule if label in own_schedule else []
        origin = next((best[name, base].lr_best for name in (label, *alike) if (name, base) in best), None)
        for (name, rung), c in sorted(best.items(), key=lambda item: longest[item[0][1]][1]):
            if name == label and origin:
                places = (math.log2((lr or origin) / origin) for lr in (c.lr_best, c.lr_low, c.lr_high))
                rows.append(dict(zip(DRIFT_COLUMNS, (rung, longest[rung][1], name, *places, c.n), strict=True)))
    return _numeric(_frame(rows, DRIFT_COLUMNS), ("n_active", "octaves", "low", "high"))


def other_schedule(results: RegretResults) -> set[str]:
    """The labels of the arms whose schedule is not the study's own."""
    entries = results.config.get("entries")
    found = set()
    for entry in entries.values() if isinstance(entries, dict) else ():
        for schedule in (entry.get("schedule", DEFAULT), entry.get("search_schedule")):
            if schedule not in (DEFAULT, None):
                found.add(label_of(Arm(str(entry.get("parametrization")), str(schedule))))
    return found


def costs(results: RegretResults) -> pd.DataFrame:
    """The FLOPs charged to each payer, largest first, and their share of the sum."""
    rows = sorted(results.payers.items(), key=lambda item: (-item[1], item[0]))
    total = sum(flops for _, flops in rows)
    return _frame(
        ({"payer": payer, "flops": flops, "share": flops / total if total else None} for payer, flops in rows),
        ("payer", "flops", "share"),
    )
