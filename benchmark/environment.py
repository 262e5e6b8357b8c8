"""What this machine has (versions, cores, GPUs), and settings of the process for training. Imports no framework."""

import ctypes
import os
import platform
import re
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
PER_GPU = 4  # workers; assumption, unmeasured: small models leave a GPU mostly idle while kernels are launched
DRIVER_SIGNS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg")  # bare metal, some containers, WSL
PACKAGES = ("torch", "deepspeed", "mup", "numpy", "pandas", "seaborn")


def environment(*, gpus: Sequence[str] = ()) -> dict[str, str]:
    """Versions and hardware as text. `gpus`: device names, which a caller that has imported torch can pass."""
    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": str(_cores()),
        "memory": _memory(),
        "gpus": ", ".join(gpus) or "none",
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cores() -> int:
    """Cores that this process may use, if the system tells; else all cores."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine() or "unknown"


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def gpu_names() -> list[str]:
    """Names of the CUDA devices. torch, which takes seconds to import, is imported only if NVIDIA's driver is there."""
    if not any(Path(sign).exists() for sign in DRIVER_SIGNS):
        return []
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def cuda_devices() -> list[str]:
    """Values for CUDA_VISIBLE_DEVICES of the workers: the devices that the user chose there, else all devices."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",") if chosen else [str(index) for index in range(len(gpu_names()))]


def gpu_bytes() -> int | None:
    """Memory of the smallest CUDA device in bytes; None if there is no device."""
    count = len(gpu_names())
    if not count:
        return None
    import torch

    return min(torch.cuda.get_device_properties(index).total_memory for index in range(count))


def default_workers() -> int:
    """PER_GPU workers for each GPU, which share it if their trials fit; without a GPU one per core."""
    return PER_GPU * len(gpu_names()) or _cores()


def train_alone() -> None:
    """Make this process the only rank of its training.

    A cluster job may set RANK and WORLD_SIZE for the whole job. A trial that used them would wait for other ranks.
    """
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}


def die_with(parent: int) -> None:
    """Have this process killed when its parent process, with the id `parent`, ends. Linux alone does this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before prctl
        os._exit(1)


def kernel_kills() -> int:
    """Number of processes that Linux has ended since it started because memory was short; 0 if it does not tell."""
    try:
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def said_of_kill(before: int) -> str:
    """A guess why a process was killed, if `kernel_kills` was `before` when it began; empty if there is none."""
    return ", and the kernel ended a process because the machine was out of memory" if kernel_kills() > before else ""


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next tensor. Without glibc this has no effect.

    Otherwise the operating system must provide and clear new pages: a tenth of a small model's step on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the largest value that glibc accepts
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
