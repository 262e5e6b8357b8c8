"""A trial that has too little memory is tried once more with half the micro batch, and gives the same numbers."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from lrladder.benchmark import environment
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab import workers
from lrladder.benchmark.lab.executor import Fault, Outcome
from lrladder.benchmark.lab.retries import REMEDY, Retries, lacks_memory
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.lab.workers import LocalExecutor
from lrladder.benchmark.training.memory import halved
from lrladder.benchmark.training.train import train
from tests.benchmark.lab.fake_runner import DEADLY_SEED, fake_measurements
from tests.benchmark.lab.fake_runner import start as start_fake
from tests.benchmark.trials import no_log, tiny_corpus, tiny_trial
from tests.faults.short_of_memory import start_short, start_starved

CPU = partial(halved, room_bytes=None)
EIGHT = {"batch_tokens": 128, "horizons": (10 * 128,)}  # eight sequences in a batch


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def trained(tmp_path: Path, said: list[str]) -> Iterator[Callable[..., Outcome]]:
    """Trains one trial by a runner, in a worker."""

    def run(start: Callable[[Path], object], trial: Trial) -> Outcome:
        executor = LocalExecutor(tmp_path, partial(start, tmp_path), workers=1, smaller=CPU, say=said.append)
        try:
            [(found, outcome)] = executor.run([trial])
        finally:
            executor.close()
        assert found == trial  # with its own settings, as it was asked for
        return outcome

    return run


def test_a_trial_without_memory_gives_the_same_losses_in_half_the_micro_batch(
    trained: Callable[..., Outcome], tmp_path: Path, said: list[str]
) -> None:
    trial = tiny_trial(**EIGHT)
    [found] = trained(start_short, trial)
    [undisturbed] = train(trial, tiny_corpus(tmp_path), log=no_log)
    assert found.trial_id == undisturbed.trial_id
    assert found.loss == pytest.approx(undisturbed.loss, rel=1e-5)
    assert (found.training, undisturbed.training) == ({"micro_batch": 4}, {})
    assert said == [f"trial {trial.id}: MemoryError; it is tried again in micro batches of 4 of its sequences"]


def test_it_fails_with_the_remedy_if_half_is_too_much(trained: Callable[..., Outcome], said: list[str]) -> None:
    assert trained(start_starved, tiny_trial(**EIGHT)) == Fault(f"MemoryError; {REMEDY}")
    assert len(said) == 1
    assert "micro_batch" in REMEDY and "recompute" in REMEDY


def test_a_process_that_the_kernel_ended_for_its_memory_is_one_of_them(
    trained: Callable[..., Outcome], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is killed as the kernel would, and the kernel's count of such kills rises."""
    counts = iter(range(100))
    monkeypatch.setattr(environment, "kernel_kills", lambda: next(counts))
    monkeypatch.setattr(workers, "kernel_kills", lambda: next(counts))
    trial = tiny_trial(seed=DEADLY_SEED, **EIGHT)
    assert trained(start_fake, trial) == fake_measurements(trial)
    assert "out of memory" in said[0] and "micro batches of 4" in said[0]


@pytest.mark.parametrize(
    "settings", [{"micro_batch": 1}, {"micro_batch": 2, "aux_loss_over": "micro_batch"}], ids=["smallest", "in the id"]
)
def test_a_trial_whose_micro_batch_cannot_be_halved_is_tried_again_as_it_is(settings: dict[str, object]) -> None:
    training = TrainingSettings.model_validate(settings)
    trial = tiny_trial(**EIGHT, training=training, aux_loss_sequences=training.aux_loss_sequences)
    said: list[str] = []
    retries, fault = Retries(CPU, said.append), Fault("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    assert retries.after(trial, fault) is trial
    assert said == [f"trial {trial.id}: {fault.message}; it is tried again"]
    assert retries.after(trial, fault) == Fault(f"{fault.message}; {REMEDY}")


def test_faults_of_other_kinds_are_counted_apart() -> None:
    trial, retries = tiny_trial(**EIGHT), Retries(CPU, lambda sentence: None)
    crash, memory = Fault("RuntimeError: x"), Fault("rank 1 of 2 failed: MemoryError")
    assert retries.after(trial, crash) is trial
    smaller = retries.after(trial, memory)
    assert isinstance(smaller, Trial) and smaller.training.micro_batch == 4 and smaller.id == trial.id
    assert retries.after(smaller, crash) == crash


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_half_is_a_divisor_of_the_share(devices: int) -> None:
    trial = tiny_trial(batch_tokens=16 * 12, horizons=(10 * 192,), training=TrainingSettings(devices=devices))
    sizes = []
    while (smaller := CPU(trial)) is not None:
        trial = smaller
        sizes.append(trial.training.micro_batch)
    assert sizes == {1: [6, 3, 1], 2: [3, 1], 4: [1]}[devices]


MESSAGES = (
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 14.56 GiB",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "OSError: [Errno 12] Cannot allocate memory",
    "rank 0 of 2 failed: MemoryError: Unable to allocate 8.00 EiB for an array",
    "Task was killed due to the node running low on memory. Memory on the node was 14.9GB / 15.0GB",
)


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_of_those_who_allocate(message: str) -> None:
    assert lacks_memory(Fault(message))


@pytest.mark.parametrize("message", ["worker died with exit code -9; see logs/", "RuntimeError: planted fault"])
def test_other_faults(message: str) -> None:
    assert not lacks_memory(Fault(message))


def test_the_kernels_count_is_read_where_there_is_one() -> None:
    assert environment.kernel_kills() >= 0
    assert environment.said_of_kill(environment.kernel_kills()) == ""
