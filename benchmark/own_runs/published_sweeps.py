"""Sweeps that others published: where their runs are, and what their columns mean. The files are not ours to ship."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import cache_folder
from lrladder.benchmark.own_runs.fetch import PublishedFile, fetched
from lrladder.benchmark.own_runs.files import read_text
from lrladder.paradigms.registry import NAMED

STEP_LAW = "https://github.com/step-law/steplaw"
STEP_LAW_AT = "32a8f4cc50247695fb56cc6c9117abdf67c97763"
STEP_LAW_SEQUENCE = 2048  # tokens, arXiv 2503.04715
STEP_LAW_GRID = 2.0  # LRs per octave; the files have them with three or four digits
ROUNDED = 0.005  # relative; three digits are closer than this
OELLM = "https://github.com/OpenEuroLLM/dense_english_scaling_laws"
OELLM_AT = "781af4364e3ba03886f7d8fd9a6cf9d8e873eff4"
OELLM_SEQUENCE = 4096  # tokens; its files have tokens per sample

Table = pd.DataFrame

BUDGETS = (0.05, 0.1, 0.3, 1.0, 5.0)  # runs of the target, if nothing else is asked for
IN_SIGHT = "some constants of the searches were chosen with the smaller models of this sweep in sight (docs/fitting.md)"


class PublishedSweep(NamedTuple):
    """A sweep: its paper, its files, and what makes our columns of the columns of each file.

    Strategies in `fitted_here` have their constants from the same runs.
    """

    paper: str
    files: tuple[tuple[PublishedFile, Callable[[Table], Table]], ...]
    fitted_here: tuple[str, ...] = ()


class FetchedSweep(NamedTuple):
    """The runs of a sweep with our columns, what to say of them, and the strategies to score if none is named."""

    runs: Table
    flags: tuple[str, ...]
    strategies: tuple[str, ...]


def _step_law(family: str, n_active: str) -> Callable[[Table], Table]:
    """The reader of a file of Step Law. Its losses are smoothed training losses."""

    def read(table: Table) -> Table:
        octaves = np.round(STEP_LAW_GRID * np.log2(table["lr"])) / STEP_LAW_GRID
        on_grid = 2.0**octaves
        near = np.abs(np.log(table["lr"] / on_grid)) < ROUNDED
        return pd.DataFrame(
            {
                "family": family,
                "n_params": table["N"],
                "n_active": table[n_active],
                "tokens": table["D"],
                "batch_tokens": STEP_LAW_SEQUENCE * table["bs"],
                "lr": table["lr"].where(~near, on_grid),
                "loss": table["smooth loss"],
            }
        )

    return read


def _oellm(table: Table) -> Table:
    """The runs of OpenEuroLLM after their decay, with validation losses and nominal tokens."""
    return pd.DataFrame(
        {
            "family": "dense",
            "n_params": table["N"],
            "tokens": table["D"],
            "batch_tokens": OELLM_SEQUENCE * table["gbsz"],
            "lr": table["lr"],
            "loss": table["loss"],
        }
    )


SWEEPS: Mapping[str, PublishedSweep] = {
    "steplaw": PublishedSweep(
        "Step Law, arXiv 2503.04715",
        (
            (
                PublishedFile(
                    STEP_LAW,
                    STEP_LAW_AT,
                    "data/dense_lr_bs_loss.csv",
                    "9e46181076c04d450294d75dfe6f72adc416e231e154a07b337e378f9410002c",
                ),
                _step_law("dense", "N"),
            ),
            (
                PublishedFile(
                    STEP_LAW,
                    STEP_LAW_AT,
                    "data/moe_lr_bs_loss.csv",
                    "653d585244a7b227423007e8b796bc16d76f6d24eb87b1919b8f048a91897b92",
                ),
                _step_law("moe", "Na"),
            ),
        ),
        fitted_here=("step_law_published",),
    ),
    "openeurollm": PublishedSweep(
        "OpenEuroLLM, arXiv 2608.28308",
        # No SHA-256: we have seen this file only in parts. The commit pins its content as well.
        ((PublishedFile(OELLM, OELLM_AT, "data/loss_all_exps_post_annealing.csv"), _oellm),),
    ),
}


def fetched_sweep(given: Path) -> FetchedSweep | None:
    """The published sweep of a name, fetched if the cache does not have it; None for the path of a table.

    A file of that name is a table. Raises InputError if the sweep can be neither fetched nor found in the cache.
    """
    sweep = SWEEPS.get(str(given))
    if sweep is None or given.exists():
        return None
    runs = pd.concat([_read(fetched(file, cache_folder()), read) for file, read in sweep.files], ignore_index=True)
    (place,) = {f"{file.repository} at {file.commit[:12]}" for file, _ in sweep.files}
    flags = [f"{len(runs):,} runs of {sweep.paper}, from {place}", IN_SIGHT]
    if sweep.fitted_here:
        named = ", ".join(sweep.fitted_here)
        flags.append(f"{named} was fitted to these runs, so its regret is no test; --strategy {named} scores it")
    return FetchedSweep(runs, tuple(flags), tuple(name for name in NAMED if name not in sweep.fitted_here))


def _read(path: Path, read: Callable[[Table], Table]) -> Table:
    text = read_text(path)
    numbers = text.apply(pd.to_numeric, errors="coerce")
    try:
        return read(numbers)
    except KeyError as error:
        raise InputError(f"{path}: there is no column {error}; this is not the file that was pinned") from error
