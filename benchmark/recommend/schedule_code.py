"""Writes a schedule as Python code, to be pasted beside the parameter groups. It equals benchmark/schedules.py."""

from lrladder.benchmark.schedules import Reference, ScheduleConfig, Shape

_CODE = '''\
BATCH_TOKENS = {batch_tokens!r}
TOKENS = {tokens!r}
WARMUP_TOKENS = {warmup_tokens!r}
{falls}

def stable(tokens):
    """Before the decay: {stable_words}."""
    return {stable}


def factor(step):
    """By what every group's LR is multiplied at `step`, 0 being the first."""
    tokens = step * BATCH_TOKENS
    if tokens + BATCH_TOKENS <= WARMUP_TOKENS:
        return (tokens + BATCH_TOKENS) / WARMUP_TOKENS * stable(WARMUP_TOKENS)
{rest}
'''

_FALL = """\
    plateau = stable(min(max(tokens, WARMUP_TOKENS), DECAY_START))
    if tokens < DECAY_START:
        return plateau
    left = max(0.0, (TOKENS - tokens) / DECAY_TOKENS)
    return plateau * ({decay})"""

_DECAYS: dict[Shape, str] = {
    "linear": "DECAY_TO + (1 - DECAY_TO) * left",
    "sqrt": "1 - (1 - DECAY_TO) * math.sqrt(1 - left)",
    "cosine": "DECAY_TO + (1 - DECAY_TO) * (1 - math.cos(math.pi * left)) / 2",
    "exponential": "DECAY_TO ** (1 - left)",
}


def schedule_code(schedule: ScheduleConfig, *, tokens: int, batch_tokens: int, at: Reference) -> str:
    """The code: constants and a `factor(step)` for torch.optim.lr_scheduler.LambdaLR. It needs `import math`."""
    start = schedule.fall_start(tokens, batch_tokens)
    edge = 0 if schedule.kind == "power" else batch_tokens  # as benchmark.schedules.factor has it
    falls = f"DECAY_START = {start!r}\nDECAY_TOKENS = {tokens - start + edge!r}\nDECAY_TO = {schedule.decay_to!r}\n"
    constant = schedule.kind == "constant"
    code = _CODE.format(
        batch_tokens=batch_tokens,
        tokens=tokens,
        warmup_tokens=schedule.warmup_tokens,
        falls="" if constant else falls,
        stable=_stable(schedule, batch_tokens, at),
        stable_words="the law of the Power scheduler, arXiv 2408.13359" if schedule.kind == "power" else "the peak",
        rest="    return stable(tokens)" if constant else _FALL.format(decay=_DECAYS[schedule.shape]),
    )
    return code.rstrip()


def _stable(schedule: ScheduleConfig, batch_tokens: int, at: Reference) -> str:
    if schedule.kind != "power":
        return "1.0"
    law = f"BATCH_TOKENS / {at.batch_tokens!r} * (tokens / {at.tokens!r}) ** {schedule.exponent!r}"
    return f"min({schedule.cap!r}, {law}) if tokens > 0 else {schedule.cap!r}"
