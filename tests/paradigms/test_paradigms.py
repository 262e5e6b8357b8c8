"""Fitting, end to end, on a lab whose law is known."""

import numpy as np
import pytest

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.paradigms.fitting import Fitting
from lrladder.paradigms.paradigm import NoProposal, Terms

LAW = TrueLaw(k=4.0, u=0.22, v=0.35, mup_base=50_000)


def test_fitting_without_noise_proposes_the_true_lr(ladder, spec):
    fitting = Fitting(spec, Terms("fitting"))
    fitting.search(SimulatedLab(ladder, LAW, noise_sd=0.0), ladder)
    target = ladder[-1]
    proposal = fitting.propose(target, 8_000_000)
    assert proposal.lr == pytest.approx(LAW.lr(target.n_active, 8_000_000, "sp"), rel=1e-5)
    assert proposal.extrapolation == pytest.approx(8.0)
    assert proposal.flags == ()
    assert any("extrapolates by 16.0x" in flag for flag in fitting.propose(target, 16_000_000).flags)


def test_fitting_proposes_within_its_interval_mostly(ladder, spec):
    target, hits = ladder[-1], []
    best = LAW.lr(target.n_active, 8_000_000, "sp")
    for seed in range(60):
        fitting = Fitting(spec, Terms("fitting"))
        fitting.search(SimulatedLab(ladder, LAW, noise_sd=0.002, seed=seed), ladder)
        proposal = fitting.propose(target, 8_000_000)
        hits.append(proposal.lr_low <= best <= proposal.lr_high)
    assert np.mean(hits) >= 0.85


def test_fitting_searches_proxies_only(ladder, spec):
    lab = SimulatedLab(ladder, LAW)
    fitting = Fitting(spec, Terms("fitting"))
    fitting.search(lab, ladder)
    assert {rung for rung, _ in fitting.curves} == {"p0", "p1", "p2", "p3"}
    assert lab.cost_flops("fitting") > 0
    assert lab.cost_flops("mutransfer") == 0


def test_fitting_leaves_out_edges_and_says_so(ladder, spec):
    lab = SimulatedLab(ladder, TrueLaw(k=4.0 * 50_000**0.78, u=1.0, v=0.35), noise_sd=0.0)
    fitting = Fitting(spec._replace(lr_guess=lab.law.lr(50_000, 2_000_000, "sp"), max_extensions=0), Terms("fitting"))
    fitting.search(lab, ladder)
    assert any(flag.startswith("left out of the law: p3") for flag in fitting.propose(ladder[-1], 8_000_000).flags)
    assert fitting.law.n_points < 12


def test_fitting_without_an_interior_minimum_has_no_proposal(ladder, spec):
    fitting = Fitting(spec._replace(lr_guess=100.0, max_extensions=0), Terms("fitting"))
    with pytest.raises(NoProposal, match="p0 at 1,000,000 tokens: edge"):
        fitting.search(SimulatedLab(ladder, LAW), ladder)
    with pytest.raises(NoProposal, match="not been run"):
        fitting.propose(ladder[-1], 8_000_000)


def test_an_unsearched_batch_is_said(ladder, spec):
    fitting = Fitting(spec, Terms("fitting"))
    fitting.search(SimulatedLab(ladder, LAW), ladder)
    flags = fitting.propose(ladder[-1]._replace(batch_tokens=4096), 8_000_000).flags
    assert any("batch of 4,096" in flag for flag in flags)
