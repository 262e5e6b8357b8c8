"""Flags for proposals that extrapolate far beyond what was searched."""

FAR = 10.0  # assumption: a target with more than 10x the searched FLOPs deserves a warning


def far_flags(extrapolation: float) -> tuple[str, ...]:
    """A warning in words if `extrapolation`, target FLOPs / largest searched FLOPs, is over FAR; else nothing."""
    return (f"extrapolates {extrapolation:.0f}x in FLOPs (over {FAR:g}x)",) if extrapolation > FAR else ()
