"""The level of all reported intervals."""

LEVEL = 0.9  # coverage that every interval is built for; ours
