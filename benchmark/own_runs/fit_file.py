"""Fits the table in a file or a DataFrame, saves and loads the results, and puts the laws into words."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from lrladder.benchmark.environment import environment
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_folder, write_text
from lrladder.benchmark.own_runs.cells import Protocol
from lrladder.benchmark.own_runs.files import FRAME, Source
from lrladder.benchmark.own_runs.fit import fit_runs
from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.own_runs.settings import words as setting_words
from lrladder.benchmark.own_runs.within import within_budget
from lrladder.benchmark.reading import RESULTS_BYTES, read_text, why


def fit_file(
    source: Source, *, protocol: Protocol, columns: Mapping[str, str] | None = None, budget: float | None = None
) -> FitResults:
    """Fit the table in a file or a DataFrame. With `budget`: only the runs that a search within it asks for.

    `columns` maps our column names to those of the table. Raises InputError for a table that cannot be used.
    """
    runs = load_runs(source, columns)
    told = repr(sorted(columns.items())).encode() if columns else b""
    if budget is not None:
        runs = within_budget(runs, budget, protocol=protocol)
        told += f"budget {budget!r}".encode()
    if isinstance(source, Path):
        name, data = source.name, source.read_bytes()
    else:
        name, data = FRAME, source.to_csv(index=False).encode(errors="surrogatepass")
    digest = hashlib.sha256(data + told).hexdigest()[:16]
    results = fit_runs(runs, source=name, digest=digest, protocol=protocol, environment=environment())
    return results.model_copy(update={"budget": budget})


def save(results: FitResults, out: Path) -> None:
    """Write results.json. Raises InputError for a folder that holds other results."""
    make_folder(out)
    path = out / "results.json"
    if path.exists() and not _is_same(path, results):
        raise InputError(f"{out} holds results of something else, which are kept; choose another OUT")
    write_text(path, results.to_json())


def load_fit(folder: Path) -> FitResults:
    """The results of `lrladder fit` in a folder. Raises InputError."""
    path = folder / "results.json"
    try:
        return FitResults.from_json(read_text(path, RESULTS_BYTES))
    except (OSError, ValueError) as error:
        again = f"run `lrladder fit RUNS.csv --out {folder}` again"
        raise InputError(f"{path} cannot be read ({why(error)}); {again}") from error


def _is_same(path: Path, results: FitResults) -> bool:
    try:
        there = FitResults.from_json(read_text(path, RESULTS_BYTES))
    except (OSError, ValueError):
        return False
    return (there.digest, there.protocol) == (results.digest, results.protocol)


def words(results: FitResults) -> str:
    """The laws as text, one per line."""
    lines = [f"{results.source}: {results.n_runs:,} runs; cells: {_counts(results)}"]
    for law in results.laws:
        exponents = ", ".join(
            f"{name} {found.value:+.3f}" + ("" if found.low is None else f" [{found.low:+.3f}, {found.high:+.3f}]")
            for name, found in law.exponents.items()
        )
        kind = "with the batch in the law" if law.batch == "given" else "at one batch per cell"
        lines.append(f"lr* by {law.size} parameters, {kind}, n = {law.n_points} optima: exponents {exponents}")
        lines += [f"  flag: {flag}" for flag in law.flags]
    if not results.laws:
        few = "" if results.budget is None else "; `lrladder recommend` answers nevertheless, with a wide interval"
        lines.append(f"no law: no cell has a bracketed minimum{few}")
    lines += [setting_words(found) for found in results.settings]
    return "\n".join([*lines, *(f"flag: {flag}" for flag in results.flags)])


def _counts(results: FitResults) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(results.counts.items())) or "none"
