"""Brackets on a simulated lab: they reach the minimum, ask for whole rounds, and pay for distinct runs only."""

import math

import pytest

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.sweep.bracket import collect, search_brackets
from lrladder.paradigms.sweep.grid import grid_lr

LAW = TrueLaw(k=4.0, u=0.22, v=0.35)


class Watched(SimulatedLab):
    """Keeps every request, and fails those that `broken` picks."""

    broken = staticmethod(lambda request: False)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rounds = []

    def measure(self, requests, *, payer):
        self.rounds.append(list(requests))
        answers = super().measure(requests, payer=payer)
        for request, answer in zip(requests, answers, strict=True):
            if self.broken(request):
                answer[:] = [m.model_copy(update={"verdict": "failed", "loss": None}) for m in answer]
        return answers


def cells_of(ladder):
    return {rung.name: rung.horizons for rung in ladder if rung.part == "proxy"}


def search(lab, ladder, spec, **kwargs):
    return search_brackets(lab, cells_of(ladder), spec, payer="me", parametrization="sp", **kwargs)


@pytest.mark.parametrize("off", [1 / 8, 1.0, 8.0])
def test_extends_from_a_bad_guess_until_interior(ladder, spec, off):
    lab = Watched(ladder, LAW, noise_sd=0.0)
    guess = LAW.lr(100_000, 2_000_000, "sp") * off
    curves = search(lab, ladder, spec._replace(lr_guess=guess, max_extensions=6))
    sizes = {rung.name: rung.n_active for rung in ladder}
    assert len(curves) == 12
    for (rung, horizon), curve in curves.items():
        assert curve.status == "interior"
        assert curve.lr_best == pytest.approx(LAW.lr(sizes[rung], horizon, "sp"), rel=1e-6)


def test_pays_for_each_distinct_run_once(ladder, spec):
    lab = Watched(ladder, LAW, noise_sd=0.0)
    search(lab, ladder, spec._replace(seeds=(0, 1), lr_guess=4e-3))
    asked = [request for requests in lab.rounds for request in requests]
    assert len(asked) == len(set(asked))
    assert lab.cost_flops("me") == pytest.approx(sum(lab.flops(request) for request in asked))
    search(lab, ladder, spec._replace(seeds=(0, 1), lr_guess=4e-3))
    assert lab.cost_flops("me") == pytest.approx(sum(lab.flops(request) for request in asked))


def test_asks_for_all_rungs_in_one_round(ladder, spec):
    lab = Watched(ladder, LAW)
    search(lab, ladder, spec)
    assert {request.rung for request in lab.rounds[0]} == set(cells_of(ladder))
    assert len(lab.rounds[0]) == 4 * spec.points
    assert all(request.horizons == cells_of(ladder)[request.rung] for request in lab.rounds[0])
    assert len(lab.rounds) <= 1 + spec.max_extensions


def test_gives_up_after_max_extensions(ladder, spec):
    lab = Watched(ladder, LAW, noise_sd=0.0)
    curves = search(lab, ladder, spec._replace(lr_guess=10.0, max_extensions=2))
    assert len(lab.rounds) == 3
    assert {(curve.status, curve.edge) for curve in curves.values()} == {("edge", "low")}


def test_divergence_ends_the_search_upwards(ladder, spec):
    lab = Watched(ladder, LAW, noise_sd=0.0, diverge_above=1.5)
    curves = search(lab, ladder, spec._replace(lr_guess=4e-3, max_extensions=6))
    assert {curve.status for curve in curves.values()} == {"interior"}


def test_everything_diverged_goes_low(ladder, spec):
    lab = Watched(ladder, LAW, noise_sd=0.0, diverge_above=2.0)
    curves = search(lab, ladder, spec._replace(lr_guess=1.0, max_extensions=12))
    assert {curve.status for curve in curves.values()} == {"interior"}


def test_three_points_become_four(ladder, spec):
    lab = Watched(ladder, LAW, noise_sd=0.0)
    curves = search(lab, ladder, spec._replace(points=3, lr_guess=LAW.lr(150_000, 2_000_000, "sp"), factor=4.0))
    assert all(curve.n >= 4 or curve.r2 is None for curve in curves.values())
    for rung in cells_of(ladder):
        assert len({r.lr for requests in lab.rounds for r in requests if r.rung == rung}) >= 4


def test_failed_runs_are_ignored_and_said(ladder, spec):
    lab = Watched(ladder, LAW, noise_sd=0.0)
    guess = LAW.lr(100_000, 2_000_000, "sp")
    lab.broken = lambda request: request.lr == guess * 2
    curves = search(lab, ladder, spec._replace(lr_guess=guess))
    assert all("1 failed runs ignored" in curve.flags for curve in curves.values())
    assert {curve.status for curve in curves.values()} == {"interior"}


def test_all_failed_is_few_and_asks_no_more(ladder, spec):
    lab = Watched(ladder, LAW)
    lab.broken = lambda request: True
    curves = search(lab, ladder, spec)
    assert {curve.status for curve in curves.values()} == {"few"}
    assert len(lab.rounds) == 1


def test_grid_is_exact(spec):
    assert grid_lr(spec, 0) == spec.lr_guess
    assert grid_lr(spec, 3) == spec.lr_guess * 8
    assert math.isclose(grid_lr(spec._replace(factor=math.sqrt(2)), 2), spec.lr_guess * 2)


def test_two_points_are_refused(ladder, spec):
    with pytest.raises(ValueError, match="at least 3"):
        search(Watched(ladder, LAW), ladder, spec._replace(points=2))


def test_collect_groups_by_cell():
    common = {"trial_id": "t", "rung": "a", "parametrization": "sp", "seed": 0, "horizon": 8}
    measured = collect(
        [
            Measurement(**common, lr=1.0, verdict="finished", loss=2.0),
            Measurement(**common, lr=2.0, verdict="diverged"),
            Measurement(**common, lr=4.0, verdict="failed"),
        ]
    )
    assert (measured["a", 8].lrs, measured["a", 8].losses, measured["a", 8].failed) == ([1.0, 2.0], [2.0, None], 1)


def test_a_refined_search_ends_with_half_steps_beside_each_bracketed_best(ladder, spec):
    labs = [Watched(ladder, LAW, noise_sd=0.0) for _ in range(2)]
    guess = LAW.lr(100_000, 2_000_000, "sp") * 1.1
    for lab, refine in zip(labs, (False, True), strict=True):
        search(lab, ladder, spec._replace(lr_guess=guess, max_extensions=6), refine=refine)
    plain, refined = (lab.rounds for lab in labs)
    assert refined[: len(plain)] == plain
    (last,) = refined[len(plain) :]
    tried = {
        rung: {r.lr for requests in plain for r in requests if r.rung == rung} for rung, _ in cells_of(ladder).items()
    }
    for request in last:
        below = max(lr for lr in tried[request.rung] if lr < request.lr)
        above = min(lr for lr in tried[request.rung] if lr > request.lr)
        assert request.lr == pytest.approx(math.sqrt(below * above))
    assert len(last) == len(set(last))
    sizes = {rung.name: rung.n_active for rung in ladder}
    for rung, horizons in cells_of(ladder).items():
        for horizon in horizons:
            best = LAW.lr(sizes[rung], horizon, "sp")
            near = [request.lr for request in last if request.rung == rung]
            assert min(abs(math.log2(lr / best)) for lr in [*near, *tried[rung]]) <= 0.25 + 1e-6


def test_three_points_that_bracket_and_a_last_step_are_five_and_ask_for_no_other(ladder, spec):
    lab = Watched(ladder[:1], LAW, noise_sd=0.0)
    guess = LAW.lr(ladder[0].n_active, ladder[0].horizons[-1], "sp")
    cells = {ladder[0].name: ladder[0].horizons[-1:]}
    near = spec._replace(points=3, lr_guess=guess * 1.1)
    curves = search_brackets(lab, cells, near, payer="me", parametrization="sp", refine=True)
    assert [len({request.lr for request in requests}) for requests in lab.rounds] == [3, 2]
    assert {curve.status for curve in curves.values()} == {"interior"}


def test_nothing_is_refined_that_is_not_bracketed(ladder, spec):
    lab = Watched(ladder, LAW, noise_sd=0.0)
    guess = LAW.lr(100_000, 2_000_000, "sp") * 64
    search(lab, ladder, spec._replace(lr_guess=guess, max_extensions=0), refine=True)
    assert len(lab.rounds) == 1


def lean(ladder, spec, off, **changes):
    """The rounds of a lean search of one cell whose best LR is `off` octaves above its start: (octaves from it, seed).

    It starts between two LRs of the grid of the spec.
    """
    rung, start = ladder[0], 5 / 16
    lab = Watched([rung], LAW, noise_sd=0.0)
    guess = LAW.lr(rung.n_active, rung.horizons[-1], "sp") / 2 ** (off + start)
    changed = spec._replace(**{"factor": 2.0, "points": 3, "seeds": (0, 1), "max_extensions": 4, **changes})
    where = {"starts": {rung.name: start}, "payer": "me", "parametrization": "sp"}
    cells = {rung.name: rung.horizons[-1:]}
    search_brackets(lab, cells, changed._replace(lr_guess=guess), refine=True, lean=True, **where)
    return [[(round(math.log2(r.lr / guess) - start, 6), r.seed) for r in requests] for requests in lab.rounds]


def test_a_lean_search_has_all_seeds_at_the_best_lr_its_lower_neighbour_and_the_half_step_between_them(ladder, spec):
    first = [(-1.0, 0), (0.0, 0), (1.0, 0)]
    assert lean(ladder, spec, 0.2) == [first, [(0.0, 1), (0.5, 0), (0.5, 1), (1.0, 1)]]
    assert lean(ladder, spec, -0.2) == [first, [(-1.0, 1), (-0.5, 0), (-0.5, 1), (0.0, 1)]]


def test_a_lean_search_is_extended_with_the_first_seed_alone(ladder, spec):
    rounds = lean(ladder, spec, 2.2)
    assert [{seed for _, seed in asked} for asked in rounds] == [{0}, {0}, {0}, {0, 1}]
    assert [step for step, _ in rounds[1] + rounds[2]] == [2.0, 3.0]
    assert rounds[3] == [(2.0, 1), (2.5, 0), (2.5, 1), (3.0, 1)]


def test_a_lean_search_without_a_bracket_has_all_seeds_at_its_best_lr(ladder, spec):
    assert lean(ladder, spec, 9.0, max_extensions=0)[1:] == [[(1.0, 1)]]
    assert lean(ladder, spec, 9.0, max_extensions=1)[1:] == [[(2.0, 0)], [(2.0, 1)]]
