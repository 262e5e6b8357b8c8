"""A ladder of plain rungs for tests of paradigms."""

from typing import NamedTuple

import pytest


class PlainRung(NamedTuple):
    name: str
    part: str
    n_active: int
    horizons: tuple[int, ...]
    batch_tokens: int = 2048

    @property
    def n_total(self) -> int:
        return 4 * self.n_active

    @property
    def flops_per_token(self) -> int:
        return 6 * self.n_active


class Spec(NamedTuple):
    lr_guess: float = 2e-3
    factor: float = 2.0
    points: int = 4
    max_extensions: int = 4
    seeds: tuple[int, ...] = (0,)


@pytest.fixture
def spec():
    return Spec()


@pytest.fixture
def ladder():
    horizons = (1_000_000, 2_000_000, 4_000_000)
    proxies = [PlainRung(f"p{i}", "proxy", 50_000 * 2**i, horizons) for i in range(4)]
    return [*proxies, PlainRung("target", "target", 1_600_000, (8_000_000,))]
