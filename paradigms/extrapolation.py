"""Flags for proposals that extrapolate far beyond what was searched."""

FAR = 10.0  # assumption: a target with more than 10x the searched FLOPs deserves a warning

# Of FLOPs, from the largest run searched. No public table of sweeps on which the intervals were checked spans more from
# its smallest cell to its largest: OpenEuroLLM, 317x (docs/fitting.md).
CHECKED = 300.0


def unchecked(extrapolation: float) -> str | None:
    """In words, where no interval was checked so far out; None within CHECKED."""
    if extrapolation <= CHECKED:
        return None
    return f"{extrapolation:,.0f} times the FLOPs of the largest run searched, and no interval was checked beyond"


def far_flags(extrapolation: float) -> tuple[str, ...]:
    """A warning in words if `extrapolation`, target FLOPs / largest searched FLOPs, is over FAR; else nothing."""
    return (f"extrapolates by {extrapolation:,.1f}x in FLOPs, which is over {FAR:g}x",) if extrapolation > FAR else ()
