"""The noise of sums at a target by Satterthwaite's formula, part by part, and which runs it is estimated from."""

import math

import pytest

from lrladder.benchmark.studies.regret.scoring.components import Components, Run
from lrladder.benchmark.studies.regret.scoring.near import near_runs, target_noises
from lrladder.benchmark.studies.regret.scoring.noise import Noises, label, seed_noise
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.sweep.noise import Noise
from tests.benchmark.studies.regret.test_comparison import CONFIG, GRID, HORIZON, RUNG, SWEEPS, proposal, run

SWEPT, ALL = Components(4e-6, 10, 1e-6, 5), Components(5e-6, 14, 3e-6, 6)
OWN, NONE = Components(9e-6, 4, 0.0, 0), Components(None, 0, 0.0, 0)
NOISES = Noises(Noise(0.01, 30), SWEPT, ALL, {"wild": OWN, "untold": NONE})


def satterthwaite(*parts: tuple[float, float]) -> tuple[object, object]:
    total = sum(variance for variance, _ in parts)
    dof = total**2 / sum(variance**2 / dof for variance, dof in parts)
    return pytest.approx(math.sqrt(total)), pytest.approx(dof)


def test_each_parametrization_has_its_variance_and_the_swept_ones_share_theirs() -> None:
    assert NOISES.of({"sp": 0.5}) == satterthwaite((2e-6, 10))
    assert NOISES.of({"sp": 0.5, "mup": 0.25, "untold": 0.25}) == satterthwaite((4e-6, 10))
    assert NOISES.of({"sp": 0.5, "wild": 0.5}) == satterthwaite((4.5e-6, 4), (2e-6, 10))
    assert NOISES.of({"wild": 2.0}) == satterthwaite((18e-6, 4))


def test_an_interaction_is_that_of_all_runs_where_one_of_them_is_not_swept() -> None:
    assert NOISES.of({"sp": 0.5, "mup": 0.5}, 0.7) == satterthwaite((4e-6, 10), (0.7e-6, 5))
    assert NOISES.of({"sp": 0.5, "wild": 0.5}, 0.7) == satterthwaite((4.5e-6, 4), (2e-6, 10), (2.1e-6, 6))


def test_a_difference_within_a_parametrization_has_no_interaction() -> None:
    assert NOISES.between("sp", "sp", 4) == satterthwaite((2e-6, 10))
    assert NOISES.between("mup", "sp", 4) == NOISES.between("sp", "mup", 4)
    assert NOISES.between("sp", "mup", 4) == satterthwaite((2e-6, 10), (0.5e-6, 5))
    assert NOISES.between("wild", "wild", 3) == satterthwaite((6e-6, 4))


def test_without_a_swept_estimate_that_of_all_runs_serves_and_without_any_nothing_is_known() -> None:
    fewer = NOISES._replace(swept=NONE)
    assert fewer.base == ALL and NOISES.base == SWEPT
    assert fewer.of({"sp": 1.0}) == satterthwaite((5e-6, 14))
    assert NOISES._replace(swept=NONE, all=NONE).of({"sp": 1.0}) == (None, 0)


@pytest.mark.parametrize(
    ("labels", "within", "across"), [("aab", 1, 1), ("aabbc", 2, 2), ("aa", 1, 0), ("ab", 0, 1), ("abc", 0, 2)]
)
def test_each_seed_more_adds_its_runs_less_the_effects_that_it_has(labels: str, within: int, across: int) -> None:
    """k runs under g parametrizations: k - g for the rest and g - 1 for the interaction, pooled where that is 0."""
    apart = NOISES.after(3, labels)
    assert (apart.swept.dof, apart.swept.interaction_dof) == (10 + 3 * within, 5 + 3 * across)
    assert (apart.all.dof, apart.all.interaction_dof) == (14 + 3 * within, 6 + 3 * across)
    pooled = NOISES._replace(swept=SWEPT._replace(interaction=0.0)).after(3, labels)
    assert (pooled.swept.dof, pooled.swept.interaction_dof) == (10 + 3 * (within + across), 5 + 3 * across)
    assert pooled.swept.variance == SWEPT.variance and pooled.unswept == NOISES.unswept


def test_only_runs_that_finished_tell_a_noise() -> None:
    lost = [m.model_copy(update={"verdict": verdict, "lr": 0.03}) for verdict in ("failed", "diverged") for m in SWEEPS]
    assert seed_noise([*SWEEPS, *lost]) == seed_noise(SWEEPS)


def test_a_label_names_the_multipliers_of_roles_in_order() -> None:
    found = run("mup", 0.01, 0, 3.0).model_copy(update={"role_lrs": (("norm", 0.5), ("head", 2.0))})
    assert label(found) == "mup head x2 norm x0.5"
    assert label(run("mup+power", 0.01, 0, 3.0)) == "mup+power"


def at(octaves: float, loss: float | None = 3.0, **changes: object) -> Measurement:
    lost = {} if loss is not None else {"verdict": "diverged"}
    return run("sp", 0.016 * 2**octaves, 0, loss).model_copy(update={**lost, **changes})


def test_near_runs_are_those_within_half_an_octave_and_those_of_entries() -> None:
    near = [at(-0.5), at(0.5), at(0.0)]
    far = [at(0.51), at(-0.51)]
    entry = at(3.0)
    role = at(0.1, role_lrs=(("head", 2.0),))
    lost = [at(0.2), at(0.2, None, seed=1)]  # one seed diverged
    failed = at(0.3, verdict="failed")
    other = run("mup", 0.016, 0, 3.0)  # whose best LR is not known
    measured = [*near, *far, entry, role, *lost, failed, other]
    expected = {Run("sp", ("sp", m.lr), 0): 3.0 for m in (*near, entry)}
    assert near_runs(measured, {"sp": 0.016, "mup": None}, {("sp", entry.lr)}) == expected
    chosen = near_runs(measured, {"sp": 0.016}, {("sp head x2", role.lr), ("mup", 0.016)})
    assert chosen.keys() - expected.keys() == {
        Run("sp", ("sp head x2", role.lr), 0),
        Run("mup", ("mup", 0.016), 0),
    }


def test_the_noise_of_a_study_is_of_the_near_runs_of_all_its_targets() -> None:
    """The other target has the same runs, so it doubles the degrees of freedom and changes no variance."""
    other = next(rung for rung in CONFIG.rungs.targets if rung.name != RUNG.name)
    twins = [m.model_copy(update={"rung": other.name}) for m in SWEEPS]
    proxies = [m.model_copy(update={"rung": "p32x2", "loss": 9.0 * m.lr + m.seed**m.lr}) for m in SWEEPS]
    assert HORIZON in RUNG.read and HORIZON in other.read
    wild = [run("mup+power", lr, seed, 3.0 + 0.4 * seed * lr) for lr in GRID for seed in (0, 1)]
    tried = [proposal("third", "mup+power", lr) for lr in GRID]
    one, two = target_noises(CONFIG, SWEEPS), target_noises(CONFIG, [*SWEEPS, *twins, *proxies])
    assert (two.swept.variance, two.swept.interaction) == pytest.approx((one.swept.variance, one.swept.interaction))
    assert (two.swept.dof, two.curves.dof) == (2 * one.swept.dof, 2 * one.curves.dof)
    assert one.all == one.swept and one.unswept == {}
    third = target_noises(CONFIG, [*SWEEPS, *wild], tried)
    assert (third.swept, third.curves) == (one.swept, one.curves)
    assert third.unswept.keys() == {"mup+power"} and third.unswept["mup+power"].dof == len(GRID) - 1
    assert third.all.dof > third.swept.dof
