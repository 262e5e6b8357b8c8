"""`lrladder bench`: our training speed relative to that of a peer, measured in one run on one machine."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console

from lrladder.benchmark.checks.bench.peak import Peak
from lrladder.benchmark.checks.bench.peer import require_transformers
from lrladder.benchmark.checks.bench.scaling import DEEPSPEED, RANKS, TURNS, Timed, rank_seconds, worker_seconds
from lrladder.benchmark.checks.bench.steps import (
    OURS,
    PLAIN,
    UNCOMPILED,
    best_peer,
    seconds_per_step,
    startup_seconds,
)
from lrladder.benchmark.environment import cuda_devices, environment, gpu_names, keep_freed_memory, train_alone
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import cache_folder, require_new_or_own, write_result
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.regret.config import RegretConfig, load_config
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.runner import run_study
from lrladder.benchmark.tables import WordTable
from lrladder.benchmark.training import compiling
from lrladder.benchmark.training.corpus import Corpus, prepare
from lrladder.models.no_megablocks import no_megablocks
from lrladder.paradigms.lab import Request

WritePage = Callable[[RegretResults, Path], Path]  # writes the report into a folder; returns the page
KEY = "gemm_flops_per_s"  # a JSON file with this key was written by this command
SMOKE = "smoke"  # the study whose overhead is measured


def run_bench(
    config: RegretConfig, out: Path, console: Console, *, rounds: int, steps: int, workers: int, write: WritePage
) -> None:
    """Measure, write `out` as JSON and print a table. Raises InputError if the peer is not installed.

    `write` writes the report of a study, because a whole study is timed too.
    """
    require_transformers()
    require_new_or_own(out, "--out", lambda head: KEY.encode() in head)
    if config.expert_backend == "megablocks" and (reason := no_megablocks(has_gpu=bool(gpu_names()))):
        raise InputError(reason)
    torch.set_num_threads(1)
    train_alone()
    keep_freed_memory()  # as in workers; it also makes the peer faster
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    corpus = prepare(config.corpus, seq_len=config.base.shape.seq_len, cache=cache_folder())
    trials = {rung.name: _trial(config, rung.name, corpus) for rung in config.rungs}
    compiles = compiling.prepare(cache_folder() / "compiled", device.type)
    rungs = []
    for name, trial in trials.items():
        console.print(f"{name} ...")
        compiled = compiles and compiling.pays(trial, device.type)
        times, peak = seconds_per_step(trial, corpus, rounds=rounds, steps=steps, compiled=compiled)
        rungs.append(_rung(name, trial, times, peak))
    found = {
        "preset": config.name,
        KEY: max(row[KEY] for row in rungs),
        "threads": torch.get_num_threads(),
        "rungs": rungs,
        "startup_seconds": startup_seconds(trials[config.rungs[0].name], corpus),
        **_scaling(trials, corpus, workers, steps),
        **_study_overhead(workers, write),
        "environment": environment(gpus=gpu_names()),
    }
    write_result(out, json.dumps(found, indent=2), "--out")
    show(found, console)
    console.print(f"Written: {out}", markup=False)


def _trial(config: RegretConfig, rung: str, corpus: Corpus) -> Trial:
    request = Request(rung, "mup", config.oracle_guess("mup"), 0, (max(config.rungs.rung(rung).horizons),))
    precision = "bf16" if gpu_names() else "fp32"
    return resolve(request, config, corpus_digest=corpus.digest, precision=precision)[0]  # type: ignore[arg-type]


def _rung(name: str, trial: Trial, found: dict[str, list[float]], peak: Peak) -> dict[str, Any]:
    """The results of one rung. A ratio is the median over rounds, given with the lowest and the highest one.

    The peak is the median of the rounds' best rates. MFU is the share of it that training reaches, and
    `products_fraction` is the share of a step that its matrix products take if each is as fast as it can be.
    """
    peer = best_peer(found)
    ours = trial.batch_tokens / median(found[OURS])
    return {
        "rung": name,
        "backend": trial.expert_backend,
        "tokens_per_s": ours,
        "peer": peer,
        "peer_tokens_per_s": trial.batch_tokens / median(found[peer]),
        **_ratio("ratio", found[peer], found[OURS]),
        **_ratio("plain_ratio", found[PLAIN], found[OURS]),
        **(_ratio("compiled_ratio", found[UNCOMPILED], found[OURS]) if UNCOMPILED in found else {}),
        KEY: median(peak.rates),
        f"{KEY}_low": min(peak.rates),
        f"{KEY}_high": max(peak.rates),
        "mfu": ours * trial.shape.flops_per_token / median(peak.rates),
        "products_fraction": peak.products_seconds / median(found[OURS]),
        "rounds": len(found[OURS]),
    }


def _ratio(name: str, theirs: list[float], ours: list[float]) -> dict[str, float]:
    ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
    return {name: median(ratios), f"{name}_low": ratios[0], f"{name}_high": ratios[-1]}


def _scaling(trials: dict[str, Trial], corpus: Corpus, workers: int, steps: int) -> dict[str, Any]:
    """Speed-ups: of workers on trials of the first rung, and of two ranks on one trial of the largest rung.

    Each is the median over turns, with the lowest and the highest one. With a single GPU ranks are not timed.
    """
    first, largest = next(iter(trials.values())), max(trials, key=lambda name: trials[name].shape.n_total)
    seconds = worker_seconds(first, corpus, (1, workers))
    found: dict[str, Any] = {"workers": workers, **_ratio("worker_speedup", seconds[1], seconds[workers])}
    if len(cuda_devices()) == 1 or trials[largest].batch_tokens // trials[largest].shape.seq_len % RANKS:
        return found
    by_program = rank_seconds(Timed(trials[largest], corpus.verified, steps))
    ours, plain = by_program[OURS], by_program[DEEPSPEED]
    return found | {
        "ranks": RANKS,
        "ranks_rung": largest,
        "turns": TURNS,
        **_ratio("rank_speedup", ours[1], ours[RANKS]),
        **_ratio("deepspeed_rank_speedup", plain[1], plain[RANKS]),
        **_ratio("deepspeed_ratio", plain[RANKS], ours[RANKS]),
    }


def _study_overhead(workers: int, write: WritePage) -> dict[str, float]:
    """The share of the workers' time in a whole study in which no trial was trained or evaluated."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        results = run_study(load_config(SMOKE), Path(folder), workers=workers).results
        assert results is not None  # only a folder with complete results has none
        write(results, Path(folder) / "report")
        wall = time.perf_counter() - begun
        trained = {m.trial_id: m.seconds for m in results.measurements}
    return {"overhead_fraction": 1 - sum(trained.values()) / (workers * wall), "study_seconds": wall}


def show(found: dict[str, Any], console: Console) -> None:
    """Print the results as a table."""
    title = f"{found['preset']}: training speed, one thread or GPU, medians of rounds [least, most]"
    heads = ("rung", "backend", "tokens/s", "/ Mixtral", "/ plain loop", "/ uncompiled", "share of GEMM peak")
    table = WordTable(title, heads, left=2)
    for row in found["rungs"]:
        table.add_row(
            row["rung"],
            row["backend"],
            f"{row['tokens_per_s']:,.0f}",
            *(_in_words(row, name) for name in ("ratio", "plain_ratio", "compiled_ratio")),
            f"{row['mfu']:.1%}",
        )
    console.print(table)
    for row in found["rungs"]:
        low, peak, high = (row[name] / 1e9 for name in (f"{KEY}_low", KEY, f"{KEY}_high"))
        console.print(
            f"{row['rung']}: the GEMM peak is {peak:.0f} [{low:.0f}, {high:.0f}] GFLOP/s; "
            f"at their best speed, the products of a step take {row['products_fraction']:.0%} of its time"
        )
    console.print(
        f"{found['workers']} workers together are {_in_words(found, 'worker_speedup')} times as fast as one; "
        f"in a {SMOKE} study {found['overhead_fraction']:.1%} of the workers' time is not training; "
        f"a trial starts in {found['startup_seconds']:.2f} s"
    )
    if "ranks" in found:
        console.print(
            f"{found['ranks']} ranks train {found['ranks_rung']} {_in_words(found, 'rank_speedup')} times as fast as "
            f"one rank ({DEEPSPEED}: {_in_words(found, 'deepspeed_rank_speedup')}), and "
            f"{_in_words(found, 'deepspeed_ratio')} times as fast as {DEEPSPEED} on {found['ranks']} ranks"
        )


def _in_words(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]" if name in row else "-"
