"""The level of all reported intervals."""

from statistics import NormalDist

LEVEL = 0.9  # coverage for which every reported interval is built; our choice
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)  # half width of such an interval of a normal distribution, in sds
