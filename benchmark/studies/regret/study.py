"""The protocol: search on proxies, freeze proposals, train them, sweep the oracle, score."""

import math
from collections.abc import Callable
from statistics import fmean

from lrladder.benchmark.config.parts import RoleSearchConfig, SearchConfig
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.assembly import PAYERS, assemble
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.protocol import ORACLES
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.regret.scoring.oracle import grid_origin
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.fitting import Fitting
from lrladder.paradigms.lab import Lab, ParametrizationName, Request
from lrladder.paradigms.mutransfer.paradigm import MuTransfer, TransferSettings
from lrladder.paradigms.mutransfer.variants import MuTransferWithPower, MuTransferWithRoles
from lrladder.paradigms.paradigm import NoProposal, Paradigm, Proposal
from lrladder.paradigms.sweep.bracket import search_brackets
from lrladder.paradigms.sweep.grid import grid_lr, snap


class RegretStudy:
    """One study on a lab."""

    def __init__(self, config: RegretConfig, lab: Lab, on_stage: Callable[[str], None]) -> None:
        self.config = config
        self.lab = lab
        self.fitting = Fitting(config.paradigms.fitting)
        self.mutransfer = make_mutransfer(config)
        self.others = [
            *([make_power(config)] if config.paradigms.power else []),
            *([make_modules(config)] if config.paradigms.modules else []),
        ]
        self.proposals: list[Proposal] = []
        self.reasons: dict[str, str] = {}  # why a paradigm proposed nothing
        self._on_stage = on_stage

    def run(self) -> None:
        """All stages in order. Proposals are made before anything is trained at a target."""
        searchers: tuple[Paradigm, ...] = (self.fitting, self.mutransfer, *self.others)
        for paradigm in searchers:
            self._on_stage(f"search: {paradigm.name}")
            self._search(paradigm)
        self._on_stage("validation")
        self._validate()
        for parametrization in ORACLES:
            self._on_stage(f"oracle: {parametrization}")
            self._sweep_oracle(parametrization)
        if self.config.paradigms.modules is not None and self.config.paradigms.modules.ablate:
            self._on_stage("ablation")
            self._ablate(self.config.paradigms.modules)

    def results(self, found: Found) -> RegretResults:
        """What is known so far."""
        return assemble(
            self.config,
            found,
            proposals=self.proposals,
            reasons=self.reasons,
            payers={payer: cost for payer in PAYERS if (cost := self.lab.cost_flops(payer))},
            law=self.fitting.law,
        )

    def _search(self, paradigm: Paradigm) -> None:
        ladder = self.config.rungs
        try:
            paradigm.search(self.lab, ladder.proxies)
            made = [_proposal(paradigm, rung, horizon) for rung in ladder.targets for horizon in rung.read]
            frozen = [self._snapped(proposal) for proposal in made]
        except NoProposal as error:
            self.reasons[paradigm.name] = str(error)
        else:
            self.proposals += frozen

    def _snapped(self, proposal: Proposal) -> Proposal:
        """On the lattice of its parametrization's sweep, where the config says so; what was proposed is kept."""
        if not self.config.validation.snap_proposals:
            return proposal
        lr = snap(proposal.lr, self._oracle_spec(proposal.parametrization, 0))
        return proposal.model_copy(update={"lr": lr, "lr_proposed": proposal.lr})

    def _validate(self) -> None:
        """Train every proposal with every seed. One run reads all horizons that share its rung and recipe."""
        horizons: dict[Request, set[int]] = {}
        for p in self.proposals:
            for seed in self.config.validation.seeds:
                run = Request(p.rung, p.parametrization, p.lr, seed, (), p.horizon_exponent, p.role_lrs)
                horizons.setdefault(run, set()).add(p.horizon)
        requests = [run._replace(horizons=tuple(sorted(read))) for run, read in horizons.items()]
        if requests:
            self.lab.measure(requests, payer="validation")

    def _sweep_oracle(self, parametrization: ParametrizationName) -> None:
        """Sweep all targets; those that start at the same LR share rounds, so that workers stay busy.

        All but the LR is as muTransfer's search left it, above all the exponent of a fitted horizon rule.
        """
        found = self.mutransfer if parametrization == self.mutransfer.parametrization else None
        starts: dict[int, list[Rung]] = {}
        for rung in self.config.rungs.targets:
            starts.setdefault(self._start(rung, parametrization), []).append(rung)
        for start, rungs in starts.items():
            search_brackets(
                self.lab,
                {rung.name: rung.horizons for rung in rungs},
                self._oracle_spec(parametrization, start),
                payer=f"oracle-{parametrization}",
                parametrization=parametrization,
                horizon_exponent=found.horizon_exponent if found else None,
                continued={rung.name: rung.continued for rung in rungs},
                refine=self.config.validation.oracle_refine,
            )

    def _ablate(self, spec: RoleSearchConfig) -> None:
        """Each multiplier alone at each of muTransfer's own proposals, which is what it is compared with."""
        requests = [
            Request(p.rung, p.parametrization, p.lr, seed, (p.horizon,), p.horizon_exponent, ((role, factor),))
            for p in self.proposals
            if p.paradigm == self.mutransfer.name and p.horizon in self.config.rungs.rung(p.rung).horizons
            for role in spec.roles
            for factor in (spec.factor, 1 / spec.factor)
            for seed in self.config.validation.seeds
        ]
        if requests:
            self.lab.measure(requests, payer="ablation")

    def _start(self, rung: Rung, parametrization: ParametrizationName) -> int:
        """Grid index nearest to the proposal; 0, the search's own guess, without one.

        The start only saves extensions: the sweep is extended, at most `max_extensions` times, until its best is in,
        and its LRs lie on a grid that no proposal moves. A sweep that stays open is said in the conclusion.
        """
        own = [p.lr for p in self.proposals if (p.rung, p.parametrization) == (rung.name, parametrization)]
        if not own:
            return 0
        steps = fmean(map(math.log, own)) - math.log(grid_origin(parametrization, self.config))
        return round(steps / math.log(self.config.validation.oracle_factor))

    def _oracle_spec(self, parametrization: ParametrizationName, start: int) -> SearchConfig:
        validation = self.config.validation
        spec = SearchConfig(
            lr_guess=grid_origin(parametrization, self.config),
            factor=validation.oracle_factor,
            points=validation.oracle_points,
            max_extensions=validation.max_extensions,
            seeds=validation.sweep_seeds,
        )
        return spec.model_copy(update={"lr_guess": grid_lr(spec, start)})


def _proposal(paradigm: Paradigm, rung: Rung, horizon: int) -> Proposal:
    """A horizon to which runs are only continued keeps the LR chosen for the longest one that is chosen for."""
    if horizon not in rung.continued:
        return paradigm.propose(rung, horizon)
    return paradigm.propose(rung, max(rung.horizons)).continued_to(horizon)


def make_mutransfer(config: RegretConfig) -> MuTransfer:
    """The paradigm as the config sets it up, before its search."""
    return MuTransfer(_transfer_settings(config))


def make_modules(config: RegretConfig) -> MuTransferWithRoles:
    """Raises InputError where the config asks for no search of modules."""
    if config.paradigms.modules is None:
        raise InputError(
            f"{config.name}: no LR multipliers, as the config has no paradigms.modules; ask for another paradigm"
        )
    return MuTransferWithRoles(_transfer_settings(config), config.paradigms.modules)


def make_power(config: RegretConfig) -> MuTransferWithPower:
    return MuTransferWithPower(_transfer_settings(config))


def _transfer_settings(config: RegretConfig) -> TransferSettings:
    spec = config.paradigms.mutransfer
    return TransferSettings(
        search=spec,
        proxy=config.paradigms.mutransfer_proxy,
        horizon_rule=spec.rules.horizon,
        drift_octaves=spec.drift_octaves,
    )
