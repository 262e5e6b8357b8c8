"""What `status` and `report` cost for studies of many trials. `python -m tests.faults.growth 1000 10000 100000`.

Prints the table of docs/performance.md. LRLADDER_GROWTH names a folder in which the studies are kept, and found again.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

MB = 2**20
HEAD = (
    *("trials", "`status`", "exponent", "its memory", "`report`", "exponent", "its memory", "page", "files beside it"),
    *("`results.json`", "coordinator", "exponent", "its memory"),
)


class Cost(NamedTuple):
    """CPU seconds of a process and its children, and its peak memory in MB."""

    seconds: float
    megabytes: float


def cost(*arguments: str) -> Cost:
    """What a command of Python costs.

    The peak of a new process begins at the memory of this one, so this file imports nothing large. Python keeps what it
    compiles, as it does where a package is installed.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


class Row(NamedTuple):
    """The figures of one study. Sizes are in MB."""

    trials: int
    status: Cost
    report: Cost
    page: float
    beside: float  # files of the page
    results: float
    coordinator: Cost


def measured(folder: Path, num_trials: int) -> Row:
    """Make a study, unless it is there, and measure."""
    made = folder.with_suffix(".json")
    if not made.exists():
        command = [sys.executable, "-m", "tests.faults.large_study", str(folder), str(num_trials)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        made.write_text(said.splitlines()[-1])
    page = folder / "report" / "index.html"
    return Row(
        trials=len(list((folder / "trials").iterdir())),
        status=sorted(cost("lrladder", "status", str(folder)) for _ in range(3))[1],
        report=cost("lrladder", "report", str(folder)),
        page=page.stat().st_size / MB,
        beside=sum(file.stat().st_size for file in page.parent.iterdir() if file != page) / MB,
        results=(folder / "results.json").stat().st_size / MB,
        coordinator=Cost(**json.loads(made.read_text())),
    )


def line(row: Row, before: Row | None) -> str:
    """A row of the table. An exponent is the slope of log CPU seconds over log trials, from the row before."""

    def of(now: Cost, earlier: Cost | None) -> list[str]:
        slope = ""
        if before is not None and earlier is not None:
            slope = f"{math.log(now.seconds / earlier.seconds) / math.log(row.trials / before.trials):.1f}"
        return [f"{now.seconds:.1f} s", slope, f"{now.megabytes:,.0f}"]

    values = [
        f"{row.trials:,}",
        *of(row.status, before and before.status),
        *of(row.report, before and before.report),
        *(f"{size:,.1f}" for size in (row.page, row.beside, row.results)),
        *of(row.coordinator, before and before.coordinator),
    ]
    return f"| {' | '.join(values)} |"


def main(folder: Path, sizes: Sequence[int]) -> None:
    """Print the table."""
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    before = None
    for size in sizes:
        row = measured(folder / str(size), size)
        print(line(row, before), flush=True)
        before = row


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(os.environ.get("LRLADDER_GROWTH", made)), [int(size) for size in sys.argv[1:]])
