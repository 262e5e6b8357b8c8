"""Learning-rate schedules: pure functions of tokens consumed, relative to the peak."""


def wsd(tokens: int, *, batch_tokens: int, warmup: int, decay_start: int, horizon: int) -> float:
    """Warm-up-stable-decay, arXiv 2404.06395, with linear decay to zero (arXiv 2405.18392).

    `tokens` are those consumed before a step of `batch_tokens`; warm-up counts the step itself, so that neither the
    first step nor the last has an LR of zero. Up to `decay_start` the factor is the same for every horizon.
    """
    if tokens < decay_start:
        return min(1.0, (tokens + batch_tokens) / warmup)
    return max(0.0, (horizon - tokens) / (horizon - decay_start))
