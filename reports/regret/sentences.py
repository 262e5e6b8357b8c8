"""The sentences of the page about each figure, with n and intervals. They say only what was measured."""

from collections import Counter
from collections.abc import Iterator

from lrladder.benchmark.config.lab import LabConfig
from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, TargetResult
from lrladder.reports.drawing import labels_of
from lrladder.reports.formats import fixed, lr, millinats, short
from lrladder.reports.regret import analysis, health, health_figures
from lrladder.reports.regret.frontier import Point, frontier, place_of, points
from lrladder.reports.regret.module_figures import shown_effects
from lrladder.reports.regret.sensitivity import sensitivities


def cost(results: RegretResults) -> str:
    """The LR regret and search cost of the entries on the frontier, at the largest target."""
    target = max(results.targets, key=lambda t: (t.n_active, t.tokens), default=None)
    edge = frontier(points(results, target)) if target else []
    if not target or not edge:
        return "No proposal has an LR regret yet."
    parts = [f"`{p.name}` {_regret(p)} for {p.cost:.3g} target runs" for p in edge]
    arms = {p.name: p.parametrization for p in target.paradigms}
    n = min(target.oracle[arms[p.name]].n_seeds for p in edge)  # an LR regret is read over the seeds of the sweep
    return (
        f"On the frontier at the largest target, {place_of(target)}: LR regret of {'; '.join(parts)} "
        f"(millinats, n = {n} seeds each)."
    )


def _regret(p: Point) -> str:
    interval = "" if p.low is None else f" [{millinats(p.low)}, {millinats(p.high)}]"
    return f"{millinats(p.regret)}{interval}"


def curves(results: RegretResults) -> str:
    """How many sweeps have their minimum between worse LRs, and how many readings diverged."""
    panels = analysis.panels(results)
    bracketed = sum(curve.lr_best is not None for curve in results.curves)
    lost = sum(m.verdict == "diverged" for m in results.measurements)
    return (
        f"{bracketed} of {len(results.curves)} curves in {len(panels)} panels have their minimum between worse LRs. "
        f"{lost} of {len(results.measurements)} readings diverged."
    )


def law(results: RegretResults) -> str:
    """How the best LR depends on the size of the model."""
    parts = []
    for name, found in analysis.laws(results).items():
        interval = "" if found.u_low is None else f" [{fixed(-(found.u_high or 0.0))}, {fixed(-found.u_low)}]"
        size = {"active": "N", "total": "N", "flops": "N D"}[found.size]
        parts.append(f"{size} to the power {fixed(-found.u)}{interval} for `{name}` (n = {found.n_points} minima)")
    return f"The best learning rate goes like {'; '.join(parts)}." if parts else "No law was fitted."


def transfer(results: RegretResults) -> str:
    """How far the best LR moves from the base to the largest rung. The half widths of both ends add up in squares."""
    frame, base = analysis.drift(results), analysis.base_rung(results)
    at_base = frame[frame["rung"] == base]
    parts = []
    for name in labels_of(results):
        rows = frame[(frame["parametrization"] == name) & (frame["rung"] != base)]
        if len(rows) and len(at_base):
            own = at_base[at_base["parametrization"] == name]
            first, last = (own if len(own) else at_base).iloc[0], rows.iloc[-1]
            half = ((first["high"] - first["low"]) ** 2 + (last["high"] - last["low"]) ** 2) ** 0.5 / 2
            runs = f"n = {first['n']} and {last['n']} runs"
            parts.append(f"{fixed(last['octaves'])} ± {fixed(half)} octaves to {last['rung']} under `{name}` ({runs})")
    if not parts:
        return "No rung beyond the base has a sweep with its minimum inside."
    return (
        f"From the base, {base}, the best learning rate moves by {', by '.join(parts)}; ± holds 90% intervals. Depth "
        "may grow with width along the ladder, and horizons may be longer."
    )


def _difference(target: TargetResult, first: ParadigmResult, second: ParadigmResult) -> str | None:
    """The loss of the second minus that of the first in words, and whether the noise can explain it.

    None if one of the losses is not known. Results of an older version have no intervals of differences.
    """
    if first.loss is None or second.loss is None:
        return None
    found = next((d for d in target.differences if (d.first, d.second) == (first.name, second.name)), None)
    n = f"n = {second.n_seeds} seeds"
    if found is None or found.low is None or found.high is None:
        return f"{millinats(second.loss - first.loss)} millinats ({n}). The interval of this difference is not known"
    apart = not found.low <= 0 <= found.high
    word = ("That is better" if found.value < 0 else "That is worse") if apart else "The noise can explain that"
    interval = f"[{millinats(found.low)}, {millinats(found.high)}]"
    return f"{millinats(found.value)} {interval} millinats ({n}). {word}"


def schedules(results: RegretResults) -> Iterator[str]:
    """A sentence per target about each entry that differs from another one only in its schedule."""
    arms = {entry["name"]: entry for entry in _entries(results)}
    for target in results.targets:
        for second in target.paradigms:
            for first in target.paradigms:
                if _is_before(arms, first.name, second.name) and (told := _difference(target, first, second)):
                    minus = f"the loss of `{second.name}`, minus that of `{first.name}` under the study's own schedule"
                    yield f"At {place_of(target)} {minus}, is {told}."
                    break


def _entries(results: RegretResults) -> Iterator[dict[str, object]]:
    """The entries as the config has them, each with its name."""
    found = results.config.get("entries")
    for name, entry in found.items() if isinstance(found, dict) else ():
        if isinstance(entry, dict):
            yield {"name": name, **entry}


def _is_before(arms: dict[object, dict[str, object]], first: str, second: str) -> bool:
    """Whether the first has the study's own schedule and the second another one, while all else is equal."""
    if first not in arms or second not in arms:
        return False
    keys = ("paradigm", "parametrization", "role_search", "strategy", "budget")
    same = all(arms[first].get(key) == arms[second].get(key) for key in keys)
    own, other = (arms[name].get("schedule", "default") for name in (first, second))
    return same and own == "default" != other


def stability(results: RegretResults) -> str:
    """The LR sensitivity at the largest rung at which two arms bracket their best LR."""
    found = sensitivities(results)
    if not found:
        return ""
    last = [s for s in found if s.rung == found[-1].rung]
    parts = [
        f"`{s.parametrization}` {millinats(s.spread.mean)} millinats "
        f"(seeds: {millinats(s.spread.least)} to {millinats(s.spread.most)})"
        for s in last
    ]
    return (
        f"LR sensitivity at {last[0].rung}, the mean loss above the best over {fixed(last[0].octaves, 1)} octaves to "
        f"either side of each one's best learning rate: {', '.join(parts)}, n = {last[0].spread.n} seeds."
    )


def quiet(results: RegretResults) -> str:
    """The signs of instability that the figure leaves out, because all runs have the same value."""
    frame = health.swept(results, health_figures.SHOWN)
    parts = []
    for metric in health_figures.SHOWN:
        values = frame.loc[frame["metric"] == metric.key, "value"]
        if values.nunique() == 1:
            name = " ".join(metric.title.split())
            parts.append(f"{name} ({short(values.iloc[0])} in all {len(values)} readings)")
    return f"Not drawn, because it is the same in all of these runs: {'; '.join(parts)}." if parts else ""


def balance(results: RegretResults) -> str:
    """The load of the busiest expert at the base and the largest swept model, under the first arm that is not `sp`."""
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
    name = f"`{label}`"
    return (
        f"Under {name} the load of the busiest expert over the mean load is {at[0]}, the base, "
        f"and {at[1]}, the largest model that was swept."
    )


def boundary(results: RegretResults) -> str:
    """The lowest LR at which a run of each arm diverged, or else the highest LR that was tried."""
    runs = [m for m in results.measurements if m.lr > 0 and not m.role_lrs]
    parts = []
    for name in labels_of(results):
        words = f"`{name}`"
        own = [m for m in runs if m.parametrization == name]
        lost = min((m for m in own if m.verdict == "diverged"), key=lambda m: m.lr, default=None)
        if lost is not None:
            parts.append(f"{words} diverges from an LR of {lr(lost.lr)} on (at {lost.rung})")
        elif own:
            parts.append(f"{words} diverges nowhere up to the largest LR tried, {lr(max(m.lr for m in own))}")
    return f"Divergence: {'; '.join(parts)}." if parts else ""


def features(results: RegretResults) -> str:
    """How the change of the last features depends on width, for each arm."""
    parts = []
    for name in labels_of(results):
        runs = [m for m in health.at_best_lr(results, name) if health.deepest(results, m) in m.metrics]
        values = [m.metrics[health.deepest(results, m)] for m in runs]
        slope = health.width_slope(results, runs, values) if values else None
        if slope:
            parts.append(
                f"`{name}` {fixed(slope.slope)} [{fixed(slope.low)}, {fixed(slope.high)}] octaves "
                f"per doubling of width, which is {slope.trend} (n = {slope.n} runs)"
            )
    if not parts:
        return "Fewer than three widths recorded their features, so nothing can be said of how they scale."
    return f"The change of the last features moves with width: {'; '.join(parts)}."


def modules(results: RegretResults) -> Iterator[str]:
    """A sentence per target about each entry that tunes LRs of single roles, compared with the entry that does not."""
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
    times = f"{tuned.cost_flops / plain.cost_flops:.2g}"
    price = f"The search for `{tuned.name}` costs {times} times that of one learning rate for all"
    chosen = ", ".join(f"{role.replace('_', ' ')} x{factor:g}" for role, factor in tuned.role_lrs)
    if not chosen:
        return f"At {place_of(target)} nothing changes: the search on the proxy accepted no multiplier. {price}."
    told = _difference(target, plain, tuned)
    minus = f"the loss with an LR for each role ({chosen}), minus the loss with one LR for all"
    return told and f"At {place_of(target)} {minus}, is {told}. {price}."


def ablation(results: RegretResults) -> str:
    """Which multipliers of single roles change the loss at targets by more than the noise."""
    targets = {t.rung for t in results.targets}
    effects = [e for e in shown_effects(results) if e.rung in targets and e.low is not None and e.high is not None]
    clear = [e for e in effects if e.low is not None and e.high is not None and not e.low <= 0 <= e.high]
    if not effects:
        return "No multiplier was tried at a target."
    expected = 0.1 * len(effects)
    named = [f"{e.role.replace('_', ' ')} x{e.factor:g} at {e.rung} {millinats(e.change)}" for e in clear]
    which = f" ({', '.join(named)} millinats)" if named else ""
    return (
        f"Multipliers tried at targets: {len(effects)}. Those that change the loss, with a 90% interval that leaves "
        f"out 0: {len(clear)}{which}. By chance alone {expected:.1f} would."
    )


def trained_elsewhere(results: RegretResults) -> str:
    """Which runs LR Ladder has not trained itself; empty where it trained all, or none was."""
    if results.lab not in ("external", "mixed"):
        return ""
    lab = LabConfig.model_validate(results.config["lab"])
    parts = " and ".join({"proxy": "proxies", "target": "targets"}[part] for part in lab.parts)
    return (
        f"The runs at the {parts} were trained elsewhere, by a trainer of the user's own, on a text that the config "
        f"calls “{lab.data}”. LR Ladder was told their losses and nothing else, so this page says nothing of their "
        "machine, of text that training and validation share, or of their stability."
    )


def trained_on(results: RegretResults) -> dict[str, str]:
    """The GEMMs that the experts ran on, and how many runs were compiled; empty if nothing was trained."""
    runs = {m.trial_id: m for m in results.measurements if m.expert_gemm is not None}
    if not runs:
        return {}
    gemms = Counter(str(m.expert_gemm) for m in runs.values())
    return {
        "experts": ", ".join(f"{name} ({count} runs)" for name, count in gemms.most_common()),
        "torch.compile": f"{sum(m.compiled for m in runs.values())} of {len(runs)} runs",
    }
