"""The pool: stages go on as soon as their own runs have ended, share runs, and end together if one fails."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from lrladder.benchmark.lab.executor import More, Outcome, Waiting, no_more
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.pool import Pool
from lrladder.benchmark.lab.trial import Trial
from tests.benchmark.lab.fake_runner import fake_measurements
from tests.benchmark.trials import tiny_trial


class _Workers:
    """Trains `number` trials at a time. All take as long as each other; `rounds` has what trained together."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.rounds: list[list[Trial]] = []

    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        waiting = list(trials)
        while waiting:
            self.rounds.append(waiting[: self.number])
            del waiting[: self.number]
            for trial in self.rounds[-1]:
                yield trial, fake_measurements(trial)
            waiting += more()


def _keep(trial: Trial, outcome: Outcome) -> list[TrialMeasurement]:
    assert isinstance(outcome, list)
    return outcome


def _sweep(pool: Pool, seed: int, lrs: Sequence[float], done: list[int]) -> Callable[[], None]:
    """A stage that asks for one run after the other."""

    def stage() -> None:
        for lr in lrs:
            trial = tiny_trial(seed=seed, lr=lr)
            assert pool.train([trial]) == {trial.id: fake_measurements(trial)}
        done.append(seed)

    return stage


def test_stages_of_one_run_at_a_time_keep_all_workers_busy() -> None:
    workers, done = _Workers(3), list[int]()
    pool = Pool(workers, _keep)
    pool.run([_sweep(pool, seed, (0.1, 0.2, 0.3, 0.4), done) for seed in range(3)])
    assert [len(one) for one in workers.rounds] == [3] * 4 and sorted(done) == [0, 1, 2]


def test_a_stage_does_not_wait_for_the_runs_of_another() -> None:
    workers, done = _Workers(1), list[int]()
    pool = Pool(workers, _keep)
    pool.run([_sweep(pool, 1, [0.1 * k for k in range(1, 6)], done), _sweep(pool, 2, (0.1,), done)])
    assert done == [2, 1]


def test_a_run_that_two_stages_ask_for_is_trained_once_and_given_to_both() -> None:
    workers, done = _Workers(2), list[int]()
    pool = Pool(workers, _keep)
    pool.run([_sweep(pool, 1, (0.1,), done), _sweep(pool, 1, (0.1, 0.2), done)])
    assert [trial.lr for one in workers.rounds for trial in one] == [0.1, 0.2] and done == [1, 1]


def test_runs_that_write_the_same_files_never_train_together_and_the_shortest_comes_first() -> None:
    workers = _Workers(8)
    pool = Pool(workers, _keep)
    trials = [tiny_trial(horizons=horizons) for horizons in ((640, 1280, 1920), (640,), (640, 1280))]
    assert len({trial.run_id for trial in trials}) == 1
    assert set(pool.train(trials)) == {trial.id for trial in trials}
    assert [[trial.horizons for trial in one] for one in workers.rounds] == [
        [(640,)],
        [(640, 1280)],
        [(640, 1280, 1920)],
    ]


def test_what_a_stage_raises_ends_the_others_where_they_wait() -> None:
    pool, ended = Pool(_Workers(1), _keep), list[str]()

    def waits() -> None:
        try:
            pool.train([tiny_trial(lr=0.1), tiny_trial(lr=0.2)])
        finally:
            ended.append("waits")

    def raises() -> None:
        pool.train([tiny_trial(lr=0.1)])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool.run([waits, raises])
    assert ended == ["waits"]
    assert pool.train([tiny_trial()])  # it can be used again


class _NoWorkers:
    def run(self, trials: Sequence[Trial], more: More = no_more) -> Iterator[tuple[Trial, Outcome]]:
        if trials:
            raise Waiting
        yield from ()


def test_where_nothing_is_trained_every_stage_is_told_and_may_ask_again() -> None:
    pool, told = Pool(_NoWorkers(), _keep), list[float]()

    def stage(lr: float) -> None:
        for times in (1, 2):
            try:
                pool.train([tiny_trial(lr=times * lr)])
            except Waiting:
                told.append(times * lr)

    pool.run([lambda: stage(0.1), lambda: stage(1.0)])
    assert sorted(told) == [0.1, 0.2, 1.0, 2.0]
    with pytest.raises(Waiting):
        pool.train([tiny_trial()])
