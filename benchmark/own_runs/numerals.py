"""Parses numbers as people write them: 1.5e9, 1,048,576, 350M, 1.3B, 2^-8."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

SCALES = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
_SCALED = re.compile(r"^([+-]?[\d.]+(?:e[+-]?\d+)?)\s*([kmgbt])$", re.IGNORECASE)
_POWER = re.compile(r"^(2|10)(?:\^|\*\*)([+-]?[\d.]+)$")
_GROUPED = re.compile(r"^[+-]?\d{1,3}(?:[,_]\d{3})+(?:\.\d+)?$")


def numbers(text: pd.Series) -> pd.Series:
    """Plain numbers, numbers with groups of three digits, and powers of 2 and 10. NaN for other text."""
    plain = pd.to_numeric(text, errors="coerce").astype(float)
    return _fill(plain, text, _plain)


def counts(text: pd.Series) -> pd.Series:
    """As `numbers`, and also numbers with K, M, B or T for thousands to trillions."""
    return _fill(numbers(text), text, _scaled)


def count(text: str) -> float | None:
    """One such count. None for other text."""
    value = float(counts(pd.Series([text.strip()])).iloc[0])
    return value if np.isfinite(value) else None


def _fill(found: pd.Series, text: pd.Series, parse: Callable[[str], float]) -> pd.Series:
    missing = found.isna() & (text != "")
    if missing.any():
        found = found.copy()
        found[missing] = text[missing].map(parse).astype(float)
    return found


def _plain(text: str) -> float:
    if _GROUPED.match(text):
        return float(text.replace(",", "").replace("_", ""))
    power = _POWER.match(text)
    return float(power[1]) ** float(power[2]) if power else np.nan


def _scaled(text: str) -> float:
    found = _SCALED.match(text)
    try:
        return float(found[1]) * SCALES[found[2].lower()] if found else np.nan
    except ValueError:
        return np.nan
