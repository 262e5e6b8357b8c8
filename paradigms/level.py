"""The level of all reported intervals."""

LEVEL = 0.9  # coverage for which every reported interval is built; our choice
