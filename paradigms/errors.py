"""Faults of a paradigm's search."""


class NoProposal(ValueError):  # noqa: N818  an outcome of a search, more than an error
    """The search gave nothing to propose from. The message says which cells failed and why."""
