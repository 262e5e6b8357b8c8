"""How far a proposal reaches beyond what was searched."""

FAR = 10.0  # assumption: beyond 10x the searched FLOPs an extrapolation deserves a warning


def far_flags(extrapolation: float) -> tuple[str, ...]:
    """A warning in words when target FLOPs / largest searched FLOPs is over FAR."""
    return (f"extrapolates {extrapolation:.0f}x in FLOPs (over {FAR:g}x)",) if extrapolation > FAR else ()
