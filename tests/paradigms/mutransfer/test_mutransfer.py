"""muTransfer on a lab whose law is known: which horizons it searches, what it carries over, and how sure it is."""

import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.paradigms.lab import Measurement, Request
from lrladder.paradigms.mutransfer.carry import Nearest
from lrladder.paradigms.mutransfer.drift import drift_half_width, widen
from lrladder.paradigms.mutransfer.horizon import UNKNOWN_EXPONENT, fit_exponent
from lrladder.paradigms.mutransfer.horizon_rule import searched_horizons
from lrladder.paradigms.mutransfer.paradigm import MuTransfer
from lrladder.paradigms.mutransfer.roles import least_gain, search_roles, with_scatter
from lrladder.paradigms.paradigm import NoProposal, Terms
from lrladder.paradigms.settings import MuTransferSettings, RoleSearchSettings
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.noise import Noise
from tests.paradigms.conftest import PlainRung

LAW = TrueLaw(k=4.0, u=0.22, v=0.35, mup_base=50_000)
BASE = 4_000_000


class Ruled(SimulatedLab):
    """Trains as the request says: the exponent moves the LR with the horizon, `gains` says what a role's x2 lowers."""

    gains: dict[str, float] = {}  # noqa: RUF012
    exponent: float | None = None  # of the study's own rule
    asked: list[Request]

    def measure(self, requests, *, payer):
        self.asked = [*getattr(self, "asked", []), *requests]
        return super().measure(requests, payer=payer)

    def _read(self, request: Request, horizon: int) -> Measurement:
        exponent = request.horizon_exponent or self.exponent or 0.0
        trained = super()._read(request._replace(lr=request.lr * (horizon / BASE) ** exponent), horizon)
        gain = sum(self.gains.get(role, 0.0) * math.log2(factor) for role, factor in request.role_lrs)
        loss = None if trained.loss is None else trained.loss - gain
        return trained.model_copy(update={"lr": request.lr, "loss": loss})


def transfer(search, proxy: str, *, name: str = "mutransfer", horizon_rule="none", **settings) -> MuTransfer:
    terms = Terms(name, proxy, None, horizon_rule)
    return MuTransfer(MuTransferSettings(**search._asdict(), **settings), terms)


def with_roles(search, max_trials: int = 100) -> MuTransfer:
    roles = RoleSearchSettings(roles=("router", "expert_down", "head"), max_trials=max_trials)
    return transfer(search, "p0", name="mutransfer+modules", horizon_rule="sde", role_search=roles)


def test_without_a_rule_the_nearest_horizon_is_carried_over(ladder, spec):
    paradigm = transfer(spec, "p0")
    paradigm.search(SimulatedLab(ladder, LAW, noise_sd=0.0), ladder)
    assert set(paradigm.curves) == {("p0", horizon) for horizon in ladder[0].horizons}
    same = paradigm.propose(ladder[-1], BASE)
    assert same.lr == pytest.approx(LAW.lr(ladder[-1].n_active, BASE, "mup"), rel=1e-6)
    assert not any("no rule changes the LR" in flag for flag in same.flags)
    longer = paradigm.propose(ladder[-1], 2 * BASE)
    assert longer.lr == same.lr
    assert "no rule changes the LR with the horizon: searched at 4,000,000 tokens, used at 8,000,000" in longer.flags
    assert any("extrapolates by 64.0x" in flag for flag in longer.flags)
    assert math.isclose(longer.extrapolation, 64.0)
    assert longer.lr_low < same.lr_low < longer.lr < same.lr_high < longer.lr_high


@pytest.mark.parametrize("rule", ["wsd", "sde", "power"])
def test_a_rule_of_known_exponent_needs_the_base_horizon_only(ladder, spec, rule):
    free, ruled = SimulatedLab(ladder, LAW), SimulatedLab(ladder, LAW)
    transfer(spec, "p0").search(free, ladder)
    paradigm = transfer(spec, "p0", horizon_rule=rule)
    paradigm.search(ruled, ladder)
    assert set(paradigm.curves) == {("p0", BASE)}
    assert ruled.cost_flops("mutransfer") < free.cost_flops("mutransfer")
    proposal = paradigm.propose(ladder[-1], 16 * BASE)
    assert proposal.lr == paradigm.curves["p0", BASE].lr_best
    assert proposal.horizon_exponent is None
    assert not any("horizon" in flag for flag in proposal.flags)


@pytest.mark.parametrize("v", [0.35, -0.2, 0.0])
def test_a_fitted_exponent_makes_the_trained_lr_the_best_one(ladder, spec, v):
    law = TrueLaw(k=0.02 * BASE**v, u=0.0, v=v)
    paradigm, lab = transfer(spec, "p0", horizon_rule="fitted"), Ruled(ladder, law, noise_sd=0.0)
    assert paradigm.horizon_exponent == 0.0
    paradigm.search(lab, ladder)
    assert {request.horizon_exponent for request in lab.asked} == {None}
    proposal = paradigm.propose(ladder[-1], 8 * BASE)
    assert proposal.horizon_exponent == pytest.approx(-v, abs=1e-6)
    trained = proposal.lr * 8**proposal.horizon_exponent
    assert trained == pytest.approx(law.lr(ladder[-1].n_active, 8 * BASE, "mup"), rel=1e-5)
    assert any(flag.startswith(f"the horizon exponent {-v:.2f}") for flag in proposal.flags)
    assert any("cannot be told from 0" in flag for flag in proposal.flags) == (v == 0.0)


def test_a_fitted_exponents_error_reaches_the_interval(ladder, spec):
    law, target, hits, widths = TrueLaw(k=0.02 * BASE**0.35, u=0.0, v=0.35), ladder[-1], [], []
    for seed in range(60):
        paradigm = transfer(spec, "p0", horizon_rule="fitted", drift_octaves=0.0)
        paradigm.search(Ruled(ladder, law, noise_sd=0.002, seed=seed), ladder)
        near, far = paradigm.propose(target, BASE), paradigm.propose(target, 16 * BASE)
        best = law.lr(target.n_active, 16 * BASE, "mup") / 16**far.horizon_exponent
        hits.append(far.lr_low <= best <= far.lr_high)
        widths.append(math.log(far.lr_high / far.lr_low) / math.log(near.lr_high / near.lr_low))
    assert np.mean(hits) >= 0.85
    assert min(widths) > 1.5


def test_an_exponent_that_the_proxy_does_not_identify_is_not_used(ladder, spec):
    rung = ladder[0]._replace(horizons=(BASE,))
    paradigm = transfer(spec, "p0", horizon_rule="fitted")
    paradigm.search(Ruled([rung], LAW), [rung])
    proposal = paradigm.propose(ladder[-1], 2 * BASE)
    assert proposal.horizon_exponent == 0.0
    assert any(
        "do not determine the horizon exponent, so 0 is used: searched at 4,000,000" in f for f in proposal.flags
    )


def curve(lr: float, spread: float) -> Curve:
    return Curve("interior", 5, lr_best=lr, lr_low=lr / spread, lr_high=lr * spread)


def test_a_vague_exponent_counts_as_not_identified():
    vague = {BASE: curve(0.02, 2.0), BASE // 2: curve(0.03, 2.0)}
    assert fit_exponent(vague, BASE) is None
    assert fit_exponent({BASE: curve(0.02, 1.05), BASE // 2: curve(0.03, 1.05)}, BASE) is not None
    assert fit_exponent({BASE: curve(0.02, 1.05), BASE * 10 // 14: curve(0.03, 1.05)}, BASE) is None
    assert fit_exponent({}, BASE) is None


def test_scatter_about_the_power_law_widens_its_interval():
    straight = {BASE // 2**i: curve(0.02 * 1.2**i, 1.1) for i in range(4)}
    bent = {tokens: curve(c.lr_best * (1.3 if i == 1 else 1.0), 1.1) for i, (tokens, c) in enumerate(straight.items())}
    exact, scattered = fit_exponent(straight, BASE), fit_exponent(bent, BASE)
    assert exact.b == pytest.approx(-math.log2(1.2))
    assert scattered.b_high - scattered.b_low > exact.b_high - exact.b_low


def test_mutransfer_needs_its_proxy(ladder, spec):
    with pytest.raises(NoProposal, match="not a proxy"):
        transfer(spec, "target").search(SimulatedLab(ladder, LAW), ladder)
    edge = spec._replace(lr_guess=100.0, max_extensions=0)
    with pytest.raises(NoProposal, match="1,000,000 tokens: edge"):
        transfer(edge, "p0").search(SimulatedLab(ladder, LAW), ladder)
    with pytest.raises(NoProposal, match="not been run"):
        transfer(spec, "p0").propose(ladder[-1], BASE)


def rung(n_active: float, *, batch: int = 2048) -> PlainRung:
    return PlainRung("any", "target", int(n_active), (BASE,), batch)


def test_drift_adds_axes_in_quadrature():
    proxy, unit = rung(1e6), 0.25 * math.log(2)
    assert drift_half_width(0.25, proxy, proxy, tokens=1.0) == 0.0
    assert drift_half_width(0.25, proxy, rung(4e6), tokens=1.0) == pytest.approx(unit)  # twice the width
    assert drift_half_width(0.25, proxy, rung(1e6, batch=8192), tokens=1.0) == pytest.approx(2 * unit)
    everything = drift_half_width(0.25, proxy, rung(4e6, batch=8192), tokens=1 / 4)
    assert everything == pytest.approx(3 * unit)


def test_the_interval_covers_drifts_of_the_assumed_size(ladder, spec):
    """Drifts per doubling of width are drawn so that 90% are within the assumption."""
    target, hits = ladder[-1], []
    for seed in range(80):
        octaves = np.random.default_rng(seed).normal(0, 0.25 / 1.645)
        law = TrueLaw(k=0.02, u=0.0, v=0.0, mup_base=50_000, mup_drift=octaves / 2)
        paradigm = transfer(spec, "p0", horizon_rule="sde", drift_octaves=0.25)
        paradigm.search(SimulatedLab(ladder, law, noise_sd=0.002, seed=seed), ladder)
        proposal = paradigm.propose(target, BASE)
        hits.append(proposal.lr_low <= law.lr(target.n_active, BASE, "mup") <= proposal.lr_high)
    assert 0.82 <= np.mean(hits) <= 0.99


@given(st.floats(1e-6, 1.0), st.floats(1.0, 10.0), st.floats(1.0, 10.0), st.floats(0.0, 5.0))
def test_a_widened_interval_holds_the_old_one(lr, below, above, half):
    low, high = widen(lr, lr / below, lr * above, half)
    assert low <= lr / below * (1 + 1e-9)
    assert high >= lr * above * (1 - 1e-9)
    assert math.log(high / lr) <= math.log(above) + half + 1e-9


def test_searched_horizons():
    assert [searched_horizons(rule, (1, 4, 2)) for rule in ("none", "wsd", "sde", "power", "fitted")] == [
        (1, 4, 2),
        (4,),
        (4,),
        (4,),
        (1, 4, 2),
    ]


@pytest.mark.parametrize("rule", ["none", "sde", "fitted"])
def test_with_power_the_proxys_runs_are_mutransfers_own(ladder, spec, rule):
    """At the base horizon the two are one function, so each run is trained once; only the proposals differ."""
    own, power = Ruled(ladder, LAW), Ruled(ladder, LAW)
    transfer(spec, "p0", horizon_rule=rule).search(own, ladder)
    paradigm = transfer(spec, "p0", horizon_rule="power")
    paradigm.search(power, ladder)
    assert {(r.parametrization, r.horizon_exponent) for r in (*own.asked, *power.asked)} == {("mup", None)}
    assert set(paradigm.curves) == {("p0", BASE)}
    proposal = paradigm.propose(ladder[-1], 2 * BASE)
    assert proposal.horizon_exponent is None
    assert proposal.lr == paradigm.curves["p0", BASE].lr_best


@given(st.integers(BASE // 100, 100 * BASE))
def test_without_a_rule_the_interval_holds_the_exponents_that_are_assumed(horizon):
    near = Nearest({BASE: curve(0.02, 1.1)}).answer(horizon)
    for exponent in (-UNKNOWN_EXPONENT, 0.0, UNKNOWN_EXPONENT):
        assert near.low <= 0.02 * (horizon / BASE) ** exponent <= near.high


def test_role_multipliers_that_help_are_found_and_paid_for(ladder, spec):
    lab, plain = Ruled(ladder, LAW, noise_sd=0.001), Ruled(ladder, LAW, noise_sd=0.001)
    lab.gains = {"expert_down": 0.05, "head": -0.05}
    two_seeds = spec._replace(seeds=(0, 1))
    transfer(two_seeds, "p0", horizon_rule="sde").search(plain, ladder)
    paradigm = with_roles(two_seeds)
    paradigm.search(lab, ladder)
    proposal = paradigm.propose(ladder[-1], BASE)
    assert dict(proposal.role_lrs) == {"expert_down": 2.0, "head": 0.5}
    assert any("expert_down x2, head x0.5: 1" in flag and "millinats better" in flag for flag in proposal.flags)
    extra = lab.cost_flops("mutransfer+modules") - plain.cost_flops("mutransfer")
    assert extra == pytest.approx((1 + 2 * 3) * 2 * ladder[0].flops_per_token * BASE)
    assert {len(request.role_lrs) for request in lab.asked} == {0, 1, 2}


def test_without_an_effect_a_multiplier_is_rarely_accepted(ladder, spec):
    accepted = 0
    for seed in range(60):
        paradigm = with_roles(spec._replace(seeds=(0, 1)))
        paradigm.search(Ruled(ladder, LAW, noise_sd=0.003, seed=seed), ladder)
        accepted += bool(paradigm.roles.role_lrs)
    assert accepted <= 8  # 5% of 60 expected; more than 8 has a chance under 1%
    (told,) = (flag for flag in paradigm.propose(ladder[-1], BASE).flags if "beats the noise" in flag)
    assert told.startswith("no LR multiplier of router, expert_down, head beats the noise: each had to gain")


@pytest.mark.parametrize(("budget", "tried"), [(2, 0), (3, 1), (6, 2), (7, 3)])
def test_the_role_search_stays_within_its_budget(ladder, spec, budget, tried):
    lab = Ruled(ladder, LAW, noise_sd=0.0)
    paradigm = with_roles(spec, max_trials=budget)
    paradigm.search(lab, ladder)
    role_runs = [request for request in lab.asked if request.lr == paradigm.curves["p0", BASE].lr_best]
    assert len(role_runs) == (1 + 2 * tried if tried else 0)
    flags = paradigm.propose(ladder[-1], BASE).flags
    assert any("too small to try" in flag or "no role tried" in flag for flag in flags) == (tried < 3)


def test_a_role_search_that_diverges_finds_nothing(ladder, spec):
    class Fragile(Ruled):
        def _read(self, request, horizon):
            found = super()._read(request, horizon)
            gone = {"verdict": "diverged", "loss": None}
            return found.model_copy(update=gone) if request.role_lrs else found

    paradigm = with_roles(spec)
    paradigm.search(Fragile(ladder, LAW), ladder)
    assert paradigm.roles.role_lrs == ()


def test_the_gain_that_counts_grows_with_noise_and_tries():
    one = least_gain(Noise(0.01, 20), candidates=2, seeds=2)
    assert least_gain(Noise(0.02, 20), candidates=2, seeds=2) == pytest.approx(2 * one)
    assert least_gain(Noise(0.01, 20), candidates=16, seeds=2) > one
    assert least_gain(Noise(0.01, 20), candidates=2, seeds=8) == pytest.approx(one / 2)
    assert least_gain(Noise(0.01, 3), candidates=2, seeds=2) > one


def test_the_noise_of_the_role_search_learns_from_its_own_runs():
    """The scatter has the noise's variance, whatever the sets and seeds add; few curves no longer make it blind."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        table = rng.normal(0, 0.01, (9, 2)) + rng.normal(4, 0.5, (9, 1)) + rng.normal(0, 0.3, (1, 2))
        noise = with_scatter(Noise(0.01, 1), table.tolist())
        assert noise.dof == 1 + 8
        found.append(noise.sd**2)
    assert fmean(found) == pytest.approx(1e-4, rel=0.1)
    assert with_scatter(Noise(None, 0), [[4.0, 4.2]]) == Noise(None, 0)  # one set
    assert with_scatter(Noise(0.01, 3), [[4.0], [4.1]]) == Noise(0.01, 3)  # one seed
    assert with_scatter(Noise(None, 0), [[4.0, 4.2], [4.1, 4.1]]) == (pytest.approx(0.1), 1)


def test_a_multiplier_that_helps_is_found_though_the_curve_knows_little_of_the_noise(ladder):
    """The gain is five times the noise. By the curve's single degree of freedom it would have to be 38 times."""
    spec = RoleSearchSettings(roles=("router", "expert_down", "head"), max_trials=100)
    at = [Request("p0", "mup", 0.01, seed, (BASE,)) for seed in (0, 1)]
    accepted = 0
    for seed in range(40):
        lab = Ruled(ladder, LAW, noise_sd=0.003, seed=seed)
        lab.gains = {"head": 0.015}
        accepted += "head" in dict(search_roles(lab, at, spec, Noise(0.003, 1), payer="me").role_lrs)
    assert accepted >= 20
