"""Runs a regret study: entries search on proxies, their proposals are trained at targets, and the oracle is swept."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from statistics import fmean

from lrladder.benchmark.config.parts import SearchConfig
from lrladder.benchmark.lab.executor import Waiting
from lrladder.benchmark.lab.pool import Stage, run_stages
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.entries import ORACLE, RESERVED
from lrladder.benchmark.studies.regret.goals import Answer
from lrladder.benchmark.studies.regret.making import completed, default_exponent, entry_lab, make_paradigm
from lrladder.benchmark.studies.regret.middle import sweep_middle
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms import registry
from lrladder.paradigms.lab import Lab, ParametrizationName, Request
from lrladder.paradigms.paradigm import NoProposal, Paradigm, Proposal
from lrladder.paradigms.settings import RoleSearchSettings
from lrladder.paradigms.sweep.bracket import search_brackets
from lrladder.paradigms.sweep.grid import grid_lr, lattice_step, snap

WAITS = "its search waits for runs that are trained elsewhere"


class RegretStudy:
    """One regret study on a lab. `on_stage` is called with the name of each stage when it begins."""

    def __init__(self, config: RegretConfig, lab: Lab, on_stage: Callable[[str], None]) -> None:
        self.config = config
        self.lab = lab
        self.paradigms = {name: make_paradigm(config, name) for name in config.entries}
        self.proposals: list[Proposal] = []
        self.answers: list[Answer] = []  # for goals
        self.reasons: dict[str, str] = {}  # why an entry proposed nothing
        self._on_stage = on_stage
        self._waits = False  # whether a search waits for runs that are not trained yet

    def run(self) -> None:
        """Runs all searches, and then all stages at the targets. Those of each kind run at the same time.

        All proposals are made before anything else is trained at a target. Where runs are trained elsewhere, a search
        without its runs does not stop the others, so that all that can be asked for is asked for at once. The same
        holds for the stages at the targets.
        """
        self._on_stage("searches on the proxies")
        run_stages(self.lab, [Stage(name, partial(self._search, name)) for name in self.paradigms])
        if not self._waits:
            self._on_stage("proposals and LR sweeps at the targets")
            run_stages(self.lab, self._stages_at_targets())

    def _stages_at_targets(self) -> list[Stage]:
        validation, ablation = RESERVED
        sweeps = [
            Stage(f"{ORACLE}{label}", partial(self._sweep_oracle, label, rung))
            for label in self.config.labels
            for rung in self.config.rungs.targets
        ]
        return [Stage(validation, self._validate), *sweeps, Stage(ablation, self._ablate)]

    def results(self, found: Found) -> RegretResults:
        """The results so far."""
        from lrladder.benchmark.studies.regret.assembly import Searched, assemble  # this takes a second; now runs ended

        payers = (*self.paradigms, *RESERVED[:1], *(f"{ORACLE}{label}" for label in self.config.labels), *RESERVED[1:])
        return assemble(
            self.config,
            found,
            proposals=self.proposals,
            answers=self.answers,
            reasons=self.reasons,
            payers={payer: cost for payer in payers if (cost := self.lab.cost_flops(payer))},
            searched={name: Searched.of(paradigm) for name, paradigm in self.paradigms.items()},
        )

    def _search(self, name: str) -> None:
        """Runs the search of one entry and asks for its proposals.

        If it finds no proposal, or if a class of the user's own raises anything, the entry ends and the study goes on.
        So it does if the search waits for runs that are trained elsewhere.
        """
        paradigm, shipped = self.paradigms[name], self.config.entries[name].paradigm in registry.SHIPPED
        try:
            paradigm.search(entry_lab(self.config, name, self.lab, paradigm), self.config.rungs)
            made = list(self._proposed(name, paradigm))
        except NoProposal as error:
            self.reasons[name] = str(error)
        except Exception as error:
            if shipped:
                raise
            self.reasons[name] = f"{type(error).__name__}: {error}"
        except Waiting:
            self.reasons[name] = WAITS
            self._waits = True
        else:
            self.proposals += made
            self.answers += self._answered(name, paradigm)
            self._sort()

    def _sort(self) -> None:
        """Brings what entries said into the order of the config, because searches end in any order."""
        place = {name: place for place, name in enumerate(self.paradigms)}
        self.proposals.sort(key=lambda one: place[one.paradigm])
        self.answers.sort(key=lambda one: place[one.entry])

    def _answered(self, name: str, paradigm: Paradigm) -> Iterator[Answer]:
        """The answers of an entry for every goal and horizon, or the reason why it has none for a goal."""
        for rung in self.config.rungs.goals:
            for horizon in rung.horizons:
                try:
                    made = completed(self.config, name, paradigm, paradigm.propose(rung, horizon))
                    yield Answer(name, rung.name, horizon, made)
                except NoProposal as error:
                    yield Answer(name, rung.name, horizon, reason=str(error))

    def _proposed(self, name: str, paradigm: Paradigm) -> Iterator[Proposal]:
        """The proposals of an entry for every target and horizon. Raises NoProposal if an LR is not usable."""
        for rung in self.config.rungs.targets:
            for horizon in rung.read:
                made = _proposal(paradigm, rung, horizon)
                if not (math.isfinite(made.lr) and made.lr > 0):
                    raise NoProposal(f"{name}: proposes an LR of {made.lr} for {rung.name}")
                yield self._snapped(completed(self.config, name, paradigm, made))

    def _snapped(self, proposal: Proposal) -> Proposal:
        """The proposal, moved to the lattice of the oracle's sweep if the config says so. It keeps the LR before."""
        if not self.config.validation.snap_proposals:
            return proposal
        lr = snap(proposal.lr, self._oracle_spec(proposal.parametrization, 0))
        return proposal.model_copy(update={"lr": lr, "lr_proposed": proposal.lr})

    def _validate(self) -> None:
        """Trains every proposal with every seed. Proposals for several horizons that have the same LR share runs."""
        horizons: dict[Request, set[int]] = {}
        for p in self.proposals:
            for seed in self.config.validation.seeds:
                run = Request(p.rung, p.parametrization, p.lr, seed, (), p.horizon_exponent, p.role_lrs)
                horizons.setdefault(run, set()).add(p.horizon)
        requests = [run._replace(horizons=tuple(sorted(read))) for run, read in horizons.items()]
        if requests:
            with suppress(Waiting):
                self.lab.measure(requests, payer=RESERVED[0])

    def _sweep_oracle(self, label: ParametrizationName, rung: Rung) -> None:
        """Sweeps the LR at one target under one arm.

        Apart from the LR, the runs are like those of the proposals under this arm: they have the same exponent of a
        fitted horizon rule.
        """
        lean = self.config.validation.oracle_lean
        spec = self._oracle_spec(label, 0 if lean else self._start(rung, label))
        middle = lattice_step(sweep_middle(self.config, self.proposals, rung.name, label), spec) if lean else 0.0
        with suppress(Waiting):
            search_brackets(
                self.lab,
                {rung.name: rung.horizons},
                spec,
                payer=f"{ORACLE}{label}",
                parametrization=label,
                horizon_exponent=self._exponent(label),
                continued={rung.name: rung.continued},
                refine=self.config.validation.oracle_refine,
                lean=lean,
                starts={rung.name: middle},
            )

    def _exponent(self, label: str) -> float | None:
        """The horizon exponent of an arm, which is the same in all its proposals."""
        own = (p.horizon_exponent for p in self.proposals if p.parametrization == label)
        return next((b for b in own if b is not None), default_exponent(self.config, label))

    def _ablate(self) -> None:
        """Trains the proposals of entries that ask for it with one multiplier of a role at a time."""
        found = [(name, getattr(entry.settings, "role_search", None)) for name, entry in self.config.entries.items()]
        asked = [self._ablations(name, roles) for name, roles in found if roles is not None and roles.ablate]
        if requests := list(chain.from_iterable(asked)):
            with suppress(Waiting):
                self.lab.measure(requests, payer=RESERVED[1])

    def _ablations(self, name: str, spec: RoleSearchSettings) -> list[Request]:
        """The runs of the entry's proposals with one multiplier of a role at a time, and without any for comparison."""
        multipliers = [((role, f),) for role in spec.roles for f in (spec.factor, 1 / spec.factor)]
        plain = {(p.rung, p.horizon, p.parametrization, p.lr) for p in self.proposals if not p.role_lrs}
        return [
            Request(p.rung, p.parametrization, p.lr, seed, (p.horizon,), p.horizon_exponent, role_lrs)
            for p in self.proposals
            if p.paradigm == name and p.horizon in self.config.rungs.rung(p.rung).horizons
            for role_lrs in (
                *(() if (p.rung, p.horizon, p.parametrization, p.lr) in plain else ((),)),
                *multipliers,
            )
            for seed in self.config.validation.seeds
        ]

    def _start(self, rung: Rung, label: ParametrizationName) -> int:
        """Where the oracle's sweep of a target starts: the index of the grid LR nearest to the mean proposal, in ln lr.

        It is 0, the oracle's own guess, without a proposal. The start does not bias the sweep: its grid is the same
        wherever it starts, and it is extended, at most `max_extensions` times, until the best LR is inside. If it never
        is, the conclusion says so.
        """
        own = [p.lr for p in self.proposals if (p.rung, p.parametrization) == (rung.name, label)]
        if not own:
            return 0
        steps = fmean(map(math.log, own)) - math.log(self.config.oracle_guess(label))
        return round(steps / math.log(self.config.validation.oracle_factor))

    def _oracle_spec(self, label: ParametrizationName, start: int) -> SearchConfig:
        validation = self.config.validation
        spec = SearchConfig(
            lr_guess=self.config.oracle_guess(label),
            factor=validation.oracle_factor,
            points=validation.oracle_points,
            max_extensions=validation.max_extensions,
            seeds=validation.sweep_seeds,
        )
        return spec.model_copy(update={"lr_guess": grid_lr(spec, start)})


def _proposal(paradigm: Paradigm, rung: Rung, horizon: int) -> Proposal:
    """The proposal for a target at a horizon.

    At a horizon to which runs are only continued, it is the proposal for the longest of the other horizons.
    """
    if horizon not in rung.continued:
        return paradigm.propose(rung, horizon)
    return paradigm.propose(rung, max(rung.horizons)).continued_to(horizon)
