"""Amounts as people read them, the same in every language but for days."""

import math

from adaptact.languages.catalogue import Language, translate_count

_SIZES = ("B", "kB", "MB", "GB", "TB")


def show_number(value: float) -> str:
    """Three significant digits at least, without an exponent where that is readable."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "-∞"}.get(value, "?")
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.3g}"
    digits = max(2 - math.floor(math.log10(abs(value))), 0) if value else 0
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def show_share(value: float) -> str:
    """Per cent with three significant digits at most."""
    if not math.isfinite(value):
        return show_number(value)
    return f"{value * 100:.3g} %" if abs(value) < 10 else f"{value * 100:,.0f} %"


def show_count(value: float) -> str:
    """Whole numbers with separators."""
    return f"{value:,.0f}"


def show_microseconds(value: float) -> str:
    """A duration in milliseconds, or in seconds from ten on."""
    if not math.isfinite(value):
        return show_number(value)
    return f"{value / 1e6:,.3g} s" if value >= 1e7 else f"{value / 1e3:.3g} ms"


def show_bytes(value: float) -> str:
    """Bytes in units of thousands, with three significant digits."""
    size = min(int(math.log10(max(value, 1)) / 3), len(_SIZES) - 1)
    return f"{value / 1000**size:.3g} {_SIZES[size]}"


def show_quantile(p: float) -> str:
    """A quantile as p95 or p99.9."""
    return f"p{p * 100:g}"


def show_days(value: float, language: Language) -> str:
    """Days, rounded up."""
    return translate_count("{number} day", "{number} days", math.ceil(value), language)
