"""The signs of instability that a page shows: metrics of one run, with what it says of them."""

from typing import NamedTuple


class Metric(NamedTuple):
    """One sign of instability: its key in the metrics of a run, and what the page says of it."""

    key: str
    title: str
    digits: int = 2
    meaning: str = ""  # one or two sentences for someone who has never seen it


_SPIKE = (
    "A spike begins at a step that lies more than 5 robust standard deviations above the median of the steps before "
    "it. These are a quarter of the run, but at least 32 and at most 64 steps."
)
_STEADY = "1 means that AdamW has reached its steady state, up to a factor from momentum."
_UPDATE = f"RMS of one step's change over RMS of the weights, divided by the steady state sqrt(2 LR decay). {_STEADY}"
_WEIGHT = f"RMS of the weights, divided by the steady state sqrt(LR / (2 decay)). {_STEADY}"

# Metrics of one run; a key `a~b` is the ratio of two metrics. docs/stability.md has definitions with sources.
STABILITY = (
    Metric("loss_spikes", "loss spikes", 1, f"Number of spikes of the training loss. {_SPIKE}"),
    Metric(
        "loss_spike_area",
        "area of loss spikes, nats x steps",
        2,
        "Loss minus the median of the steps before the spike, added up over all spikes.",
    ),
    Metric(
        "loss_spike_steps",
        "steps in loss spikes",
        1,
        "Number of steps until the loss is back under the limit, over all spikes.",
    ),
    Metric("grad_spikes", "gradient spikes", 1, f"Number of spikes of the gradient norm. {_SPIKE}"),
    Metric(
        "grad_spike_steps",
        "steps in gradient spikes",
        1,
        "Number of steps until the gradient norm is back under the limit, over all spikes.",
    ),
    Metric(
        "attention_logit_max",
        "largest attention logit",
        1,
        "Largest absolute value of q·k / sqrt(head size) in any layer, head and position.",
    ),
    Metric("log_z", "log Z, nats", 2, "Mean log-sum-exp of the output logits."),
    Metric(
        "dead_experts",
        "dead experts, share",
        2,
        "Share of experts with under 10% of the mean load, in the worst block.",
    ),
    Metric(
        "max_violation_train",
        "expert overload (MaxVio)",
        2,
        "Load of the busiest expert over the mean load, minus 1, over the last steps of training, in the worst block.",
    ),
    Metric(
        "max_load",
        "busiest expert / mean, last 10%",
        2,
        "Load of the busiest expert over the mean load in the last 10% of training, mean over blocks; 1 is even.",
    ),
    Metric(
        "router_entropy_token",
        "router entropy of a token",
        2,
        "Entropy of one token's routing probabilities over its largest possible value: 1 means undecided.",
    ),
    Metric(
        "router_entropy_batch",
        "router entropy of a batch",
        2,
        "Entropy of the batch's mean routing probabilities over its largest possible value: 1 means balanced.",
    ),
    Metric("router_z", "router z", 2, "Mean square of the log-sum-exp of the router's logits."),
    Metric("update_ratio/attention~update_ratio_steady/attention", "update / steady state, attention", meaning=_UPDATE),
    Metric("update_ratio/expert_up~update_ratio_steady/expert_up", "update / steady state, expert up", meaning=_UPDATE),
    Metric("weight_rms/attention~weight_rms_steady/attention", "weight / steady state, attention", meaning=_WEIGHT),
    Metric("weight_rms/expert_up~weight_rms_steady/expert_up", "weight / steady state, expert up", meaning=_WEIGHT),
)
