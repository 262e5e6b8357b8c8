"""Observes a trial while it trains: gradient norms, expert loads, and a fixed probe batch every few steps.

docs/stability.md has the formulas. Observing does not change the training. The state is small, because snapshots and
checkpoints contain it.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lrladder.benchmark.training.spikes import find_spikes
from lrladder.models.observation import Metrics, feature_metrics, observe, rms_by_role

EVERY = 16  # steps between probes; assumption
PROBE_WINDOWS = 4  # validation windows in the probe batch, the same for all trials of a study; assumption
LATELY = 0.1  # share of the steps of a run, its last ones, over which max_load is averaged; our definition
DEAD = 0.1  # of the mean load; an expert with less over EVERY steps counts as dead; our definition


class Watch:
    """Observes one engine from its first step on. A continued run must restore `state`.

    Under ZeRO 3 no rank holds the weights, so only losses, gradient norms and loads are observed there.
    """

    def __init__(self, engine: Any, probe_bs: Tensor) -> None:
        self._engine, self._probe = engine, probe_bs
        self._sees_weights = engine.zero_optimization_stage() < 3
        self._start: dict[str, Tensor] = {}
        self._features: list[Tensor] = []
        if self._sees_weights:
            self._start = {name: param.detach().clone() for name, param in engine.module.named_parameters()}
            self._features = observe(engine.module, probe_bs).features
        self._before: dict[str, Tensor] = {}
        self._state: dict[str, Any] = {"grad_norms": [], "weights": {}, "logit_max": 0.0, "loads": [], "load_steps": 0}
        self._state["max_loads"] = []

    @property
    def state(self) -> dict[str, Any]:
        """A copy of what was observed so far, for checkpoints."""
        return copy.deepcopy(self._state)

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self._state = copy.deepcopy(dict(state))

    def before_step(self, step: int) -> None:
        """Call it after the backward pass and before the optimizer step."""
        if step % EVERY == 0 and self._sees_weights:
            self._before = {name: param.detach().clone() for name, param in self._engine.module.named_parameters()}

    def take(self, step: int, grad_norm: float, load: list[float]) -> None:
        """Add the numbers of one step. `load` is one row with the experts of all routed blocks. Steps come in order."""
        self._state["grad_norms"].append(grad_norm)
        num_experts = self._engine.module.shape.num_experts
        by_block = [load[i : i + num_experts] for i in range(0, len(load), num_experts)]
        self._state["max_loads"].append(math.fsum(max(load_e) / math.fsum(load_e) for load_e in by_block))
        self._add_load(step, by_block)

    def after_step(self, step: int, *, decaying: bool) -> Metrics | None:
        """A row for the log every few steps, else None. During a decay the metrics of weights do not change."""
        if step % EVERY:
            return None
        if not self._sees_weights:
            return {}
        state = self._state
        seen = observe(self._engine.module, self._probe).metrics
        state["logit_max"] = max(state["logit_max"], seen["attention_logit_max"])
        if not decaying or not state["weights"]:
            state["weights"] = self._weight_metrics()
        return seen | state["weights"]

    def _add_load(self, step: int, now: list[list[float]]) -> None:
        state = self._state
        if step % EVERY == 0:
            state["loads"], state["load_steps"] = now, 1
            return
        state["loads"] = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(state["loads"], now, strict=True)]
        state["load_steps"] += 1

    def _weight_metrics(self) -> Metrics:
        """RMS of weights and updates in one step, by role, and their steady states at the LR and decay of that step."""
        if not self._before:
            return {}
        model = self._engine.module
        now = {name: param.detach() for name, param in model.named_parameters()}
        updates = rms_by_role(model, {name: now[name] - before for name, before in self._before.items()})
        self._before = {}
        weights = rms_by_role(model, now)
        found = {f"weight_rms/{role}": value for role, value in weights.items()}
        found |= {f"update_ratio/{role}": updates[role] / weights[role] for role in weights if weights[role]}
        for role, (lr, decay) in self._lr_and_decay().items():
            if lr and decay:
                found[f"update_ratio_steady/{role}"] = math.sqrt(2 * lr * decay)
                found[f"weight_rms_steady/{role}"] = math.sqrt(lr / (2 * decay))  # arXiv 2510.19093
        return found

    def _lr_and_decay(self) -> dict[str, tuple[float, float]]:
        groups = self._engine.optimizer.param_groups
        return {role: (group["lr"], group["weight_decay"]) for group in groups for role in group["roles"]}

    def read(self, losses: list[float]) -> Metrics:
        """All metrics at a horizon. Those of weights and updates are from the last probe before the decay."""
        if not self._sees_weights:
            return self.read_diverged(losses)
        now = observe(self._engine.module, self._probe)
        found = self._state["weights"] | self.read_diverged(losses) | now.metrics
        found |= feature_metrics(self._engine.module, self._start, self._features, now)
        found["attention_logit_max"] = max(self._state["logit_max"], now.metrics["attention_logit_max"])
        return _finite(found)

    def read_diverged(self, losses: list[float]) -> Metrics:
        """The metrics that do not need the model, whose weights may not be finite."""
        found: Metrics = {"initial_loss": losses[0]} if losses else {}
        for name, values in (("loss", losses), ("grad", self._state["grad_norms"])):
            finite = [value for value in values if math.isfinite(value)]
            spikes = find_spikes(finite)
            found |= {f"{name}_spikes": float(spikes.number), f"{name}_spike_area": spikes.area}
            found |= {f"{name}_spike_steps": float(spikes.steps), f"{name}_spike_judged": float(spikes.judged)}
        if len(self._state["loads"]) and len(self._state["loads"][0]) > 1:
            found |= self._loads()
        return _finite(found)

    def _loads(self) -> Metrics:
        """Share of dead experts, and largest load / mean load - 1, over the last steps, each for the worst block.

        `max_load` is largest load / mean load of a single step, averaged over blocks and over the last tenth of the
        run. It is a mean because the maximum over more blocks is larger even if each block is equally balanced, so
        only a mean can be compared between depths.
        """
        dead, worst = [], []
        for load_e in self._state["loads"]:
            mean = math.fsum(load_e) / len(load_e)
            dead.append(sum(load < DEAD * mean for load in load_e) / len(load_e))
            worst.append(max(load_e) / mean - 1)
        largest = self._state["max_loads"]
        lately = largest[-max(1, round(LATELY * len(largest))) :]
        max_load = math.fsum(lately) / len(lately) * len(self._state["loads"][0]) / len(self._state["loads"])
        return {"dead_experts": max(dead), "max_violation_train": max(worst), "max_load": max_load}


def _finite(found: Metrics) -> Metrics:
    return {name: value for name, value in found.items() if math.isfinite(value)}
