"""Flags for proposals that extrapolate far beyond what was searched."""

FAR = 10.0  # assumption: a target with more than 10x the searched FLOPs deserves a warning

# FLOPs of a target / FLOPs of the largest searched run, up to which intervals were checked. In the widest public table
# of sweeps on which they were checked, OpenEuroLLM, the largest cell has 317x the FLOPs of the smallest
# (docs/fitting.md).
CHECKED = 300.0


def unchecked(extrapolation: float) -> str | None:
    """A warning in words that no interval was checked so far out; None up to CHECKED."""
    if extrapolation <= CHECKED:
        return None
    return f"{extrapolation:,.0f} times the FLOPs of the largest run searched, and no interval was checked beyond"


def far_flags(extrapolation: float) -> tuple[str, ...]:
    """A warning in words if `extrapolation`, target FLOPs / largest searched FLOPs, is over FAR; else nothing."""
    return (f"extrapolates by {extrapolation:,.1f}x in FLOPs, which is over {FAR:g}x",) if extrapolation > FAR else ()
