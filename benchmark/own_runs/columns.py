"""Finds the columns of a table of runs, by our names or by the user's `--columns`, and suggests missing ones."""

import difflib
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.numerals import count
from lrladder.benchmark.own_runs.settings import SETTINGS

REQUIRED = ("n_params", "tokens", "lr", "loss")
OPTIONAL = ("n_active", "batch_tokens", "family", "seed", "held_out", "status", "log", *SETTINGS)
STATUS = ("status", "state")  # upper and lower case do not matter: W&B writes State, MLflow status

# Names that others use, the most likely first. A name also matches at the end of a longer one, as in config.lr or
# val/loss. More special columns come first, so that a batch in tokens is not taken for tokens.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "batch_tokens": ("batch_tokens", "batch_size_tokens", "tokens_per_batch", "tokens_per_step", "batch"),
    "n_active": ("n_active", "active_params", "active_parameters", "activated_params", "params_active"),
    "lr": ("lr", "learning_rate", "peak_lr", "max_lr", "lr_max", "lr_peak", "learningrate", "eta"),
    "n_params": (
        *("n_params", "num_params", "parameter_count", "param_count", "parameters", "params", "n_parameters"),
        *("num_parameters", "model_size", "non_embedding_params", "params_non_embedding", "size", "n"),
    ),
    "tokens": (
        "total_tokens",
        "train_tokens",
        "training_tokens",
        "n_tokens",
        "num_tokens",
        "tokens",
        "token_count",
        "d",
    ),
    "loss": (
        *("eval_loss", "val_loss", "valid_loss", "validation_loss", "test_loss", "loss_eval", "loss_val", "final_loss"),
        *("loss", "train_loss"),
    ),
    "seed": ("seed",),
}


def parse_columns(text: str | None, known: Sequence[str] = (*REQUIRED, *OPTIONAL)) -> dict[str, str]:
    """The mapping from our names to the user's, or to numbers, in a text such as `lr=learning_rate,tokens=1e10`.

    Raises InputError.
    """
    chosen: dict[str, str] = {}
    for part in (text or "").split(","):
        name, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not part.strip():
            continue
        if not equals or not theirs:
            raise InputError(f"--columns {part.strip()!r}: write name=column, as in lr=learning_rate,loss=eval/loss")
        if name in chosen:
            raise InputError(f"--columns {name}: given twice; keep one")
        chosen[name] = theirs
    return known_columns(chosen, known)


def known_columns(chosen: Mapping[str, str], known: Sequence[str] = (*REQUIRED, *OPTIONAL)) -> dict[str, str]:
    """The same mapping. Raises InputError for a name that is none of ours."""
    for name in chosen:
        if name not in known:
            raise InputError(f"--columns {name}: there is no such column; use one of {', '.join(known)}")
    return dict(chosen)


def rename(source: str, table: pd.DataFrame, chosen: Mapping[str, str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with our column names, and a flag about the columns in `chosen`.

    Optional columns that the table does not have are added with "". Raises InputError.
    """
    names = [str(name) for name in table.columns]
    places: dict[str, int] = {}
    fixed: dict[str, str] = {}
    for ours, theirs in chosen.items():
        if theirs in names:
            places[ours] = only_place(source, names, theirs)
        elif count(theirs) is not None:
            fixed[ours] = theirs
        else:
            raise InputError(
                f"{source}: --columns {ours}={theirs}: there is no such column; {near_names(theirs, names)}"
            )
    for ours in (*REQUIRED, *OPTIONAL):
        if ours not in chosen and ours in names:
            places[ours] = only_place(source, names, ours)
    if "status" not in places and "status" not in fixed:
        found = [name for name in names if name.lower() in STATUS]
        places |= {"status": only_place(source, names, found[0])} if found else {}
    missing = [ours for ours in REQUIRED if ours not in places and ours not in fixed]
    if missing:
        taken = [names[place] for place in places.values()]
        raise InputError(f"{source}: row 1: {_missing(missing, [name for name in names if name not in taken], places)}")
    columns = {ours: table.iloc[:, place] for ours, place in places.items()}
    columns |= {ours: pd.Series(value, table.index) for ours, value in fixed.items()}
    renamed = pd.DataFrame(columns, index=table.index, dtype=str)
    told = ", ".join(f"{ours} from {theirs}" for ours, theirs in chosen.items())
    flags = (f"columns read as --columns says: {told}",) if chosen else ()
    return renamed.reindex(columns=[*REQUIRED, *OPTIONAL], fill_value=""), flags


def only_place(source: str, names: Sequence[str], name: str) -> int:
    """The place of a column. Raises InputError where two have its name."""
    if names.count(name) > 1:
        raise InputError(f"{source}: row 1: column {name} appears {names.count(name)} times; keep one")
    return names.index(name)


def near_names(name: str, names: Sequence[str]) -> str:
    """What a message says of a column that is not there."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(names)[:200]}"


def _missing(missing: Sequence[str], names: Sequence[str], known: Mapping[str, int]) -> str:
    """The missing columns, with a suggestion for each, as an option to copy."""
    found = guesses(names, [*missing, *(ours for ours in ("n_active", "batch_tokens", "seed") if ours not in known)])
    option = ",".join(f"{ours}={theirs}" for ours, theirs in found.items())
    unknown = [ours for ours in missing if ours not in found]
    lines = [f"no column {', '.join(missing)}"]
    if set(found) & set(missing):
        lines.append(f"if these columns have that meaning, add --columns {option!r}")
    if unknown:
        lines.append(
            f"for {', '.join(unknown)} name a column, or give one number for all rows, for example {unknown[0]}=NAME"
        )
        lines.append(f"the columns are {', '.join(names)[:200]}")
    return "; ".join(lines)


def guesses(
    names: Sequence[str], wanted: Sequence[str], aliases: Mapping[str, tuple[str, ...]] = ALIASES
) -> dict[str, str]:
    """For each of `wanted`, in this order, a column whose name is similar. No column is used twice."""
    left, found = list(names), dict[str, str]()
    for ours in (ours for ours in aliases if ours in wanted):
        guess = _guess(ours, left, aliases[ours])
        if guess is not None:
            found[ours] = guess
            left.remove(guess)
    return {ours: found[ours] for ours in wanted if ours in found}


def _guess(ours: str, names: Sequence[str], aliases: Sequence[str]) -> str | None:
    plain = {name: re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in names}
    for alias in aliases:
        ends = [
            name for name in names if plain[name] == alias or (len(alias) > 1 and plain[name].endswith(f"_{alias}"))
        ]
        if ends:
            return min(ends, key=lambda name: (len(plain[name]), name))
    near = difflib.get_close_matches(ours, names, n=1, cutoff=0.8)
    return near[0] if near else None
