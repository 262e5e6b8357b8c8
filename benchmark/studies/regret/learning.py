"""Training losses of the entries' runs at the targets, read from the logs of their trials."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.results import LearningCurve
from lrladder.benchmark.studies.regret.scoring.comparison import proposal_runs
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.paradigm import Proposal

MAX_SEEDS = 40  # of one proposal; assumption: as in figures of single runs, more cannot be told apart
MAX_POINTS = 100  # of one curve; assumption: as many as a figure can show


def learning_curves(config: RegretConfig, found: Found, proposals: Sequence[Proposal]) -> Iterator[LearningCurve]:
    """One curve for each of the first seeds of each proposal for the longest horizon of a target."""
    longest = {rung.name: max(rung.read) for rung in config.rungs.targets}
    for p in proposals:
        if p.horizon != longest[p.rung]:
            continue
        for seed, m in sorted(proposal_runs(config, found.measurements, p).items())[:MAX_SEEDS]:
            points = thinned(found.losses(m.trial_id))
            if points:
                tokens, losses = zip(*points, strict=True)
                yield LearningCurve(rung=p.rung, entry=p.paradigm, seed=seed, tokens=tokens, losses=losses)


def thinned(points: Sequence[tuple[int, float]], most: int = MAX_POINTS) -> list[tuple[int, float]]:
    """At most `most` of the (tokens, loss) points.

    The first point is kept. The rest are cut into groups of neighbours; each becomes its mean loss at its last tokens.
    """
    if len(points) <= most:
        return list(points)
    first, rest = points[0], points[1:]
    edges = [round(i * len(rest) / (most - 1)) for i in range(most)]
    groups = [rest[a:b] for a, b in pairwise(edges)]
    return [first, *((group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups)]
