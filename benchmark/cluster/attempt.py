"""One attempt to train a trial on a cluster, as the coordinator sees it."""

import math
import os
import signal
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from lrladder.benchmark.cluster.mailbox import Letter
from lrladder.benchmark.cluster.task import Assignment, Coordinator, train_rank, train_trial
from lrladder.benchmark.environment import PER_GPU
from lrladder.benchmark.lab.heartbeat import Pulse
from lrladder.benchmark.lab.loggers.choice import chosen
from lrladder.benchmark.lab.loggers.copies import Copies
from lrladder.benchmark.lab.measurement import TrialMeasurement
from lrladder.benchmark.lab.trial_log import TrialLog
from lrladder.benchmark.training.local import needed_bytes

# Ray tries nothing again by itself: an attempt has a number, and only the coordinator gives numbers.
_train_trial = ray.remote(max_retries=0)(train_trial)
_train_rank = ray.remote(max_retries=0, max_calls=1)(train_rank)  # max_calls: each rank in a process of its own


class Beats:
    """The signs of life of one process."""

    def __init__(self) -> None:
        self.value = 0


class Attempt:
    """The tasks of one attempt, and the log of its trial, which begins with the first letter."""

    def __init__(self, given: Assignment, folder: Path) -> None:
        self.given, self.trial, self.number = given, given.trial, given.attempt
        self.fault: str | None = None
        self.notes: list[str] = []
        self.faults: dict[str, str] = {}  # of loggers
        self.processes: dict[int, tuple[Letter, Beats, Pulse]] = {}  # by rank
        self.refs: list[Any] = []
        self._folder = folder
        self._log: TrialLog | None = None
        self._copies: Copies | None = None
        self._group: PlacementGroup | None = None

    def submit(self, coordinator: Coordinator) -> None:
        """Hand the tasks to Ray, which starts them when there is room for all."""
        count = self.trial.training.devices
        if count == 1:
            self.refs = [_train_trial.options(**self._resources()).remote(coordinator, self.given)]
            return
        device = {"GPU": 1} if self.given.has_gpu else {"CPU": 1}
        self._group = placement_group([device] * count, strategy="PACK")
        for rank in range(count):
            place = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=rank)
            own = {"num_gpus": device.get("GPU", 0), "num_cpus": device.get("CPU", 0), "scheduling_strategy": place}
            self.refs.append(_train_rank.options(**own).remote(coordinator, self.given, rank))

    def _resources(self) -> dict[str, float]:
        """A core, or as much of a GPU as the trial needs; several trials share one."""
        room = self.given.gpu_bytes
        if room is None:
            return {"num_cpus": 1, "num_gpus": 0}
        share = max(1 / PER_GPU, needed_bytes(self.trial, room) / room)
        return {"num_cpus": 0, "num_gpus": min(1.0, math.ceil(100 * share) / 100)}

    def receive(self, letter: Letter) -> None:
        """Take in the news of one process."""
        if letter.rank not in self.processes:
            beats = Beats()
            self.processes[letter.rank] = letter, beats, Pulse(beats)
        self.processes[letter.rank][1].value = letter.beats
        if letter.rank == 0 and self._log is None:
            self._log = TrialLog(self._folder, self.trial)
            self._log.begin(self.number, letter.node)
            self._copies = Copies(self._folder, self.trial, chosen())
        for row in letter.rows:
            self._write(row)
        self.fault = self.fault or letter.fault

    def _write(self, row: dict[str, object]) -> None:
        assert self._log is not None and self._copies is not None  # only the first rank sends rows
        self._log.write(row)
        self._copies.row(row)
        if "note" in row:
            self.notes.append(str(row["note"]))

    def silent(self, seconds: float, allowed: float) -> list[Letter]:
        """Processes that have given no sign of life for too long; `seconds` have passed since the last call."""
        return [letter for letter, _, pulse in self.processes.values() if pulse.is_lost(seconds, allowed)]

    def finish(self, measurements: list[TrialMeasurement]) -> None:
        """End the log with the results of the trial."""
        log = self._log or TrialLog(self._folder, self.trial)
        log.finish(measurements)
        if self._copies is not None:
            self._copies.finish(measurements)
            self.faults.update(self._copies.close())

    def fail(self, message: str) -> None:
        """End the log with the fault that ended the attempt."""
        (self._log or TrialLog(self._folder, self.trial)).fail(message)
        if self._copies is not None:
            self.faults.update(self._copies.close())

    def clear_away(self) -> None:
        """End what is left of the tasks, and give their place back."""
        for ref in self.refs:
            ray.cancel(ref, force=True)
        if self._group is not None:
            remove_placement_group(self._group)


def kill(letter: Letter) -> None:
    """Kill a process that does not answer, through its machine. SIGKILL also ends a stopped one."""
    there = NodeAffinitySchedulingStrategy(letter.node_id, soft=False)
    _kill.options(scheduling_strategy=there).remote(letter.pid)


@ray.remote(max_retries=0, num_cpus=0)
def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
