"""How sure an interval is."""

LEVEL = 0.9  # of every interval; ours
