"""Mutation testing of what scores and decides: `make mutants`. mutants.toml names the modules and their tests.

cosmic-ray changes one operator, number or condition of a module at a time, and the module's own tests should then fail.
It cannot draw a sample nor choose tests by module, which is all that this file adds. Mutants live in a copy of the
checkout. The same folder goes on where an earlier call stopped; `--again` tests its survivors with the tests of today.
The session can be read with cosmic-ray's own `cr-report` and `cr-html`.
"""

import argparse
import difflib
import hashlib
import json
import multiprocessing
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis  # noqa: F401
import pandas  # noqa: F401
import pydantic  # noqa: F401
import pytest
import scipy.optimize
import scipy.stats  # noqa: F401
import seaborn  # noqa: F401
import torch._dynamo  # noqa: F401
from cosmic_ray.commands import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOT_DRAWN = WorkResult(worker_outcome=WorkerOutcome.SKIPPED)


class Equivalent(NamedTuple):
    """A mutant that no test can tell from the code: its module, and the line that it changes, before and after."""

    module: str
    before: str
    after: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the copy and of the session")
    parser.add_argument("--seed", type=int, help="of the draw, in place of that of mutants.toml")
    parser.add_argument("--again", action="store_true", help="test the survivors again")
    args = parser.parse_args()
    settings = tomllib.loads((HERE / "mutants.toml").read_text(encoding="utf-8"))
    out = args.out.resolve()
    copy = copy_checkout(out, list(settings["tests"]))
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    with use_db(out / "session.sqlite") as db:
        if not db.num_work_items:
            init([Path(module) for module in settings["tests"]], db, {})
            draw(db, settings, args.seed)
        survivors = [item for item, result in tested(db) if result.test_outcome == TestOutcome.SURVIVED]
        work(db, settings, [*db.pending_work_items, *(survivors if args.again else ())])
        return report(db)


def copy_checkout(out: Path, modules: list[str]) -> Path:
    """Copy what git knows or would add. A session is of one state of the modules, so these may not have changed."""
    copy, drawn = out / "copy", out / "drawn.json"
    state = {module: hashlib.sha256((ROOT / module).read_bytes()).hexdigest() for module in modules}
    if drawn.exists() and json.loads(drawn.read_text(encoding="utf-8")) != state:
        sys.exit("the modules changed since the mutants were drawn; give a new folder with --out")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if os.path.lexists(ROOT / name):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).unlink(missing_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    drawn.write_text(json.dumps(state), encoding="utf-8")
    return copy


def draw(db: WorkDB, settings: dict[str, Any], seed: int | None) -> None:
    """Mark all mutants but the drawn ones as skipped."""
    skipped = re.compile("|".join(settings["skip_operators"]))
    items = {key(item): item for item in db.work_items}
    kept = sorted(
        place
        for place, item in items.items()
        if not skipped.search(mutation(item).operator_name) and not marks_keywords(mutation(item))
    )
    drawn = set(random.Random(settings["seed"] if seed is None else seed).sample(kept, settings["number"]))
    print(f"{len(drawn)} of {len(kept)} mutants are drawn", flush=True)
    db.set_multiple_results([item.job_id for place, item in items.items() if place not in drawn], NOT_DRAWN)


def marks_keywords(of: MutationSpec) -> bool:
    """Whether it changes the star in `def f(a, *, b)`, which cosmic-ray takes for a product."""
    row, column = of.end_pos
    rest = of.module_path.read_text(encoding="utf-8").splitlines()[row - 1][column:]
    return "ReplaceBinaryOperator_Mul" in of.operator_name and rest.startswith(",")


def mutation(item: WorkItem) -> MutationSpec:
    return item.mutations[0]


def key(item: WorkItem) -> tuple[str, str, int]:
    found = mutation(item)
    return str(found.module_path), found.operator_name, found.occurrence


def tested(db: WorkDB) -> Iterator[tuple[WorkItem, WorkResult]]:
    for item, result in sorted(db.completed_work_items, key=lambda pair: key(pair[0])):
        if result.worker_outcome != WorkerOutcome.SKIPPED:
            yield item, result


def work(db: WorkDB, settings: dict[str, Any], items: list[WorkItem]) -> None:
    """Test these mutants, once their tests have passed without any."""
    limit = settings["timeout_s"]
    for tests in sorted({settings["tests"][key(item)[0]] for item in items}):
        if outcome_of(tests, limit) != TestOutcome.SURVIVED:
            sys.exit(f"without a mutant the tests fail or take over {limit} s: {tests}")
    sys.dont_write_bytecode = True  # of mutants; that of all else has just been written
    for i, item in enumerate(sorted(items, key=key), start=1):
        module, operator, occurrence = key(item)
        with use_mutation(Path(module), get_operator(operator)(), occurrence) as (before, after):
            outcome = outcome_of(settings["tests"][module], limit)
        changed = "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
        late = "timeout" if outcome is None else ""
        result = WorkResult(WorkerOutcome.NORMAL, late, outcome or TestOutcome.KILLED, changed)
        db.set_result(item.job_id, result)
        told = late or outcome.value
        print(f"{i} of {len(items)}: {module}:{mutation(item).start_pos[0]} {told}", flush=True)


def outcome_of(tests: str, limit: float) -> TestOutcome | None:
    """Run tests in a fork, so that what they import of other packages is loaded once. None: they took too long."""
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(tests,))
    process.start()
    process.join(limit)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return TestOutcome.SURVIVED if process.exitcode == 0 else TestOutcome.KILLED


def run_tests(tests: str) -> None:
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    os._exit(int(pytest.main([*options, *shlex.split(tests)])))


def changed_line(item: WorkItem, result: WorkResult) -> Equivalent:
    lines = [line for line in (result.diff or "").splitlines() if not line.startswith(("---", "+++"))]
    before, after = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Equivalent(key(item)[0], before, after)


def report(db: WorkDB) -> int:
    """Print a table by module, and each survivor that no reason excuses. Returns 1 if there are any."""
    known = equivalents()
    counts: dict[str, Counter[str]] = {}
    for item, result in tested(db):
        found = changed_line(item, result)
        outcome = "killed" if result.test_outcome == TestOutcome.KILLED else "survived"
        if outcome == "killed" and result.output == "timeout":
            outcome = "timeout"
        elif outcome == "survived" and found in known:
            outcome = "equivalent"
        elif outcome == "survived":
            print(f"\n{found.module}:{mutation(item).start_pos[0]}\n  - {found.before}\n  + {found.after}")
        counts.setdefault(found.module, Counter())[outcome] += 1
    table({**counts, "in all": sum(counts.values(), Counter())})
    return int(any(outcomes["survived"] for outcomes in counts.values()))


def table(counts: dict[str, Counter[str]]) -> None:
    """Mutants by module. Those killed by a timeout are among the killed. An equivalent one survives by right."""
    print(f"\n{'':55}  drawn  killed  timeout  equivalent  survived")
    for name, of in counts.items():
        killed, late = of["killed"] + of["timeout"], of["timeout"]
        print(f"{name:55}  {of.total():5}  {killed:6}  {late:7}  {of['equivalent']:10}  {of['survived']:8}")


def equivalents() -> set[Equivalent]:
    """Those of equivalent.toml, where each has its reason."""
    found = tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))
    return {Equivalent(one["module"], one["before"], one["after"]) for one in found.get("mutant", ())}


if __name__ == "__main__":
    sys.exit(main())
