"""Faults of the input: one line for the user, exit code 2."""


class InputError(ValueError):
    """Bad config, corpus, store or environment. The message names the key, file or row and the remedy."""
