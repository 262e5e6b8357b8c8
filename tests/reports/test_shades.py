"""Colours of ordered series can be seen on both papers."""

import pytest
from matplotlib.colors import to_rgb

from lrladder.reports.drawing import SHADES, shades

WHITE, DARK = "#ffffff", "#16191e"  # --paper of reports/templates/style.css
LEAST = 3.0  # WCAG 2.2, 1.4.11, of graphics


def luminance(color: str) -> float:
    """Relative luminance, WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", sorted(SHADES))
@pytest.mark.parametrize("n", [1, 2, 5])
def test_shades_are_seen_on_white_and_on_dark_paper(palette: str, n: int) -> None:
    colors = shades(n, palette)
    assert len(set(colors)) == n
    for color in colors:
        assert contrast(color, WHITE) >= LEAST
        assert contrast(color, DARK) >= LEAST
