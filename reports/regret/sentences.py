"""One sentence for each figure: what it shows, with n and an interval. Nothing is said that was not measured."""

from collections import Counter
from collections.abc import Iterator

from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, TargetResult
from lrladder.reports.drawing import labels_of, paradigm_name, parametrization_name
from lrladder.reports.formats import fixed, lr, millinats, short
from lrladder.reports.regret import analysis, health
from lrladder.reports.regret.module_figures import shown_effects


def cost(results: RegretResults) -> str:
    """Regret and price at the largest target."""
    target = max(results.targets, key=lambda t: (t.n_active, t.tokens), default=None)
    known = [p for p in target.paradigms if p.regret is not None] if target else []
    if not target or not known:
        return "No proposal has a regret yet."
    parts = [f"{paradigm_name(p.name)} {_regret(p)} for {p.cost_fraction:.3g} runs" for p in known]
    return f"At {_place(target)}, the largest target: {'; '.join(parts)}; n = {known[0].n_seeds} seeds."


def _regret(p: ParadigmResult) -> str:
    interval = "" if p.regret_low is None else f" [{millinats(p.regret_low)}, {millinats(p.regret_high)}]"
    return f"{millinats(p.regret)}{interval} millinats"


def _place(target: TargetResult) -> str:
    return f"{target.rung}, {short(target.tokens)} tokens"


def curves(results: RegretResults) -> str:
    panels = analysis.panels(results)
    bracketed = sum(curve.lr_best is not None for curve in results.curves)
    lost = sum(m.verdict == "diverged" for m in results.measurements)
    return (
        f"{bracketed} of {len(results.curves)} curves in {len(panels)} panels bracket their minimum; "
        f"{lost} of {len(results.measurements)} readings diverged."
    )


def law(results: RegretResults) -> str:
    found = results.law
    if found is None:
        return "No law was fitted."
    interval = "" if found.u_low is None else f" [{fixed(found.u_low)}, {fixed(found.u_high)}]"
    return (
        f"Under standard parametrization the best learning rate falls as N to the {fixed(-found.u)}, "
        f"u = {fixed(found.u)}{interval}, n = {found.n_points} fitted minima."
    )


def transfer(results: RegretResults) -> str:
    """Drift per doubling of width from the smallest rung to the largest, with the ends' intervals added up."""
    frame = analysis.drift(results)
    parts = []
    for name in labels_of(results):
        rows = frame[frame["parametrization"] == name]
        if len(rows) > 1:
            first, last = rows.iloc[0], rows.iloc[-1]
            half = ((first["high"] - first["low"]) ** 2 + (last["high"] - last["low"]) ** 2) ** 0.5 / 2
            parts.append(
                f"{parametrization_name(name)} {fixed(last['octaves'])} ± {fixed(half)} octaves from "
                f"{first['rung']} to {last['rung']} (n = {len(rows)} minima)"
            )
    if not parts:
        return "No two rungs have a bracketed minimum under one parametrization."
    return f"The best learning rate moves by {'; '.join(parts)}. Depth may grow with width."


def _difference(target: TargetResult, first: ParadigmResult, second: ParadigmResult) -> str | None:
    """Loss of the second minus that of the first, and whether the noise explains it. None where one is not known.

    Results of an older version hold no intervals of differences.
    """
    if first.loss is None or second.loss is None:
        return None
    found = next((d for d in target.differences if (d.first, d.second) == (first.name, second.name)), None)
    n = f"n = {second.n_seeds} seeds"
    if found is None or found.low is None or found.high is None:
        return f"{millinats(second.loss - first.loss)} millinats, {n}, interval unknown"
    apart = not found.low <= 0 <= found.high
    word = ("better" if found.value < 0 else "worse") if apart else "no difference outside the noise"
    interval = f"[{millinats(found.low)}, {millinats(found.high)}]"
    return f"{millinats(found.value)} {interval} millinats, {word}, {n}"


def schedules(results: RegretResults) -> Iterator[str]:
    """Entries that differ from one before them in the schedule alone, target by target."""
    arms = {entry["name"]: entry for entry in _entries(results)}
    for target in results.targets:
        for second in target.paradigms:
            for first in target.paradigms:
                if _is_before(arms, first.name, second.name) and (told := _difference(target, first, second)):
                    names = paradigm_name(second.name), paradigm_name(first.name)
                    yield f"At {_place(target)}, {names[0]} minus {names[1]}, under another schedule: {told}."
                    break


def _entries(results: RegretResults) -> Iterator[dict[str, object]]:
    """As the config names them, with their names."""
    found = results.config.get("entries")
    for name, entry in found.items() if isinstance(found, dict) else ():
        if isinstance(entry, dict):
            yield {"name": name, **entry}


def _is_before(arms: dict[object, dict[str, object]], first: str, second: str) -> bool:
    """Whether the second is under another schedule and the first under the study's own, all else being equal."""
    if first not in arms or second not in arms:
        return False
    keys = ("paradigm", "parametrization", "role_search", "strategy", "budget")
    same = all(arms[first].get(key) == arms[second].get(key) for key in keys)
    own, other = (arms[name].get("schedule", "default") for name in (first, second))
    return same and own == "default" != other


def stability(results: RegretResults) -> str:
    """LR sensitivity at the largest rung where both were swept."""
    found = health.sensitivities(results)
    if not found:
        return "LR sensitivity needs three learning rates that both were swept at, with both best inside of them."
    last = [s for s in found if s.rung == found[-1].rung]
    parts = [
        f"{parametrization_name(s.parametrization)} {millinats(s.spread.mean)} "
        f"(seeds {millinats(s.spread.least)} to {millinats(s.spread.most)})"
        for s in last
    ]
    span = f"{lr(last[0].lr_low)} to {lr(last[0].lr_high)}"
    return (
        f"LR sensitivity at {last[0].rung}, over {last[0].n_lrs} learning rates from {span}: {', '.join(parts)} "
        f"millinats, n = {last[0].spread.n} seeds."
    )


def balance(results: RegretResults) -> str:
    """Whether the experts' loads stay as even as at the base, under the first parametrization that is not standard."""
    proxy = results.config.get("base")
    label = next((name for name in labels_of(results) if name != "sp"), "sp")
    sizes = {rung.name: rung.n_active for rung in results.rungs}
    found = {b.rung: b for b in health.balances(results) if b.parametrization == label}
    largest = max(found, key=lambda rung: sizes[rung], default=None)
    if proxy not in found or largest is None or largest == proxy:
        return ""
    at = [
        f"{fixed(b.spread.mean)} at {b.rung} ("
        + (
            f"n = {b.spread.n} runs, {fixed(b.spread.least)} to {fixed(b.spread.most)})"
            if b.spread.n > 1
            else "n = 1 run)"
        )
        for b in (found[proxy], found[largest])
    ]
    name = parametrization_name(label)
    return f"Under {name} the largest expert load over the mean is {at[0]}, the base, and {at[1]}, the largest swept."


def boundary(results: RegretResults) -> str:
    """Where runs diverge, by parametrization: the lowest LR at which any did, else the highest that was tried."""
    runs = [m for m in results.measurements if m.lr > 0 and not m.role_lrs]
    parts = []
    for name in labels_of(results):
        words = parametrization_name(name)
        own = [m for m in runs if m.parametrization == name]
        lost = min((m for m in own if m.verdict == "diverged"), key=lambda m: m.lr, default=None)
        if lost is not None:
            parts.append(f"{words} diverges from {lr(lost.lr)} ({lost.rung})")
        elif own:
            parts.append(f"{words} nowhere up to {lr(max(m.lr for m in own))}")
    return f"Divergence: {'; '.join(parts)}." if parts else ""


def features(results: RegretResults) -> str:
    """Does the feature change stay constant over width?"""
    parts = []
    for name in labels_of(results):
        runs = [m for m in health.at_best_lr(results, name) if health.deepest(results, m) in m.metrics]
        values = [m.metrics[health.deepest(results, m)] for m in runs]
        slope = health.width_slope(results, runs, values) if values else None
        if slope:
            parts.append(
                f"{parametrization_name(name)} {fixed(slope.slope)} [{fixed(slope.low)}, {fixed(slope.high)}] octaves "
                f"per doubling of width, {slope.trend} (n = {slope.n} runs)"
            )
    if not parts:
        return "Fewer than three widths have features recorded, so nothing is said of their scaling."
    return f"Change of the last features at each rung's best learning rate: {'; '.join(parts)}."


def modules(results: RegretResults) -> Iterator[str]:
    """The conclusion on module-wise tuning, with its evidence: each search of roles beside the entry without one."""
    found = {str(entry["name"]): entry for entry in _entries(results)}
    for target in results.targets:
        by = {p.name: p for p in target.paradigms}
        for name, entry in found.items():
            if not entry.get("role_search") or name not in by:
                continue
            plain = next((other for other in found if other in by and _is_without(found[other], entry)), None)
            if plain is not None and (told := _module_wise(target, by[plain], by[name])):
                yield told


def _is_without(plain: dict[str, object], tuned: dict[str, object]) -> bool:
    return {**tuned, "role_search": None, "name": ""} == {**plain, "name": ""}


def _module_wise(target: TargetResult, plain: ParadigmResult, tuned: ParadigmResult) -> str | None:
    price = f"{tuned.cost_flops / plain.cost_flops:.2g} times the search cost of the one global learning rate"
    chosen = ", ".join(f"{role.replace('_', ' ')} x{factor:g}" for role, factor in tuned.role_lrs)
    if not chosen:
        return f"At {_place(target)} nothing changes: the search on the proxy, at {price}, accepted no multiplier."
    told = _difference(target, plain, tuned)
    return told and f"At {_place(target)} module-wise tuning ({chosen}) minus the global one: {told}; {price}."


def ablation(results: RegretResults) -> str:
    """Which single multipliers move the loss at targets outside their interval."""
    targets = {t.rung for t in results.targets}
    effects = [e for e in shown_effects(results) if e.rung in targets and e.low is not None and e.high is not None]
    clear = [e for e in effects if e.low is not None and e.high is not None and not e.low <= 0 <= e.high]
    if not effects:
        return "No multiplier was tried at a target."
    expected = 0.1 * len(effects)
    named = [f"{e.role.replace('_', ' ')} x{e.factor:g} at {e.rung} {millinats(e.change)}" for e in clear]
    return (
        f"{len(clear)} of {len(effects)} multipliers tried at targets move the loss outside their 90% interval, where "
        f"{expected:.1f} would by chance" + (f": {', '.join(named)} millinats." if named else ".")
    )


def trained_on(results: RegretResults) -> dict[str, str]:
    """What the runs were computed with, by name; empty where nothing was trained."""
    runs = {m.trial_id: m for m in results.measurements if m.expert_gemm is not None}
    if not runs:
        return {}
    gemms = Counter(str(m.expert_gemm) for m in runs.values())
    return {
        "experts": ", ".join(f"{name} ({count} runs)" for name, count in gemms.most_common()),
        "torch.compile": f"{sum(m.compiled for m in runs.values())} of {len(runs)} runs",
    }
