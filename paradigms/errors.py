"""Faults of a paradigm's search."""


class NoProposal(ValueError):
    """The search gave nothing to propose from. The message says which cells failed and why."""
