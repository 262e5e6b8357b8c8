"""How reports write numbers. A missing or non-finite number is an en dash, never `nan` or `None`."""

import math

MISSING = "\u2013"
THIN = "\u202f"  # narrow no-break space: the thousands separator
_SUPERSCRIPT = str.maketrans("-0123456789.", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹·")


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def positive(value: float | None) -> bool:
    """Whether a number can be drawn on a logarithmic axis: it is finite and positive."""
    return value is not None and math.isfinite(value) and value > 0


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")


def lr(value: float | None) -> str:
    """A learning rate with three significant digits, without an exponent from 1e-4 to 1000."""
    if value is None or not _known(value) or value <= 0:
        return MISSING
    if 1e-4 <= value < 1000:
        return f"{value:#.3g}".rstrip(".")
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def exponent(value: float | None) -> str:
    """log2 of a learning rate with two decimals."""
    if value is None or not _known(value) or value <= 0:
        return MISSING
    return fixed(math.log2(value), 2)


def fixed(value: float | None, digits: int = 2) -> str:
    """Fixed decimals with a real minus sign, and no minus zero."""
    if value is None or not _known(value):
        return MISSING
    rounded = round(value, digits)
    return _minus(f"{rounded + 0.0:.{digits}f}")


def signed(value: float | None, digits: int = 2) -> str:
    """Fixed decimals with a sign, which is + for zero and above."""
    text = fixed(value, digits)
    return text if text == MISSING or text.startswith("\u2212") else f"+{text}"


def loss(value: float | None) -> str:
    """A loss in nats with four decimals."""
    return fixed(value, 4)


def millinats(value: float | None) -> str:
    """A difference given in nats, written in millinats with one decimal."""
    return MISSING if value is None else fixed(1000 * value, 1)


def millinats_within(value: float | None, low: float | None, high: float | None) -> str:
    """A number given in nats, written in millinats, with its interval if there is one."""
    within = "" if low is None or high is None else f" [{millinats(low)}, {millinats(high)}]"
    return f"{millinats(value)}{within}"


def flops(value: float | None) -> str:
    """Scientific notation with one decimal, such as 1.2e12."""
    if value is None or not _known(value):
        return MISSING
    if value == 0:
        return "0"
    mantissa, power = f"{value:.1e}".split("e")
    return f"{_minus(mantissa)}e{int(power)}"


def factor(value: float | None) -> str:
    """A ratio with two or three significant digits and a times sign."""
    if value is None or not _known(value):
        return MISSING
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return (flops(value) if abs(value) >= 1e5 else _minus(f"{value:,.{digits}f}".replace(",", THIN))) + "\u00d7"


def count(value: int | float | None) -> str:
    """A whole number with a narrow space between thousands."""
    if value is None or not _known(value):
        return MISSING
    return _minus(f"{int(value):,}".replace(",", THIN))


def hours(seconds: float | None) -> str:
    """A time given in seconds, written in hours, minutes or seconds, whichever is at least 1."""
    if seconds is None or not _known(seconds):
        return MISSING
    for limit, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= limit or unit == "s":
            amount = seconds / limit
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f}".replace(",", THIN) + f" {unit}"
    return MISSING


def short(value: float) -> str:
    """A count in few characters, for figures: 262k, 1.05M."""
    for limit, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def power_of_two(exponent_: float) -> str:
    """2 with a superscript exponent, as plain text for figures."""
    return "2" + f"{exponent_:g}".translate(_SUPERSCRIPT)
