"""Numbers as people read them. What is missing is `n/a`, never 0."""

from __future__ import annotations

from math import floor, isfinite, log10

from snn5bench.stats import Interval

MISSING = "n/a"

_PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_SCALED = {"": (0, ""), "nJ": (-9, "J"), "J": (0, "J"), "B": (0, "B"), "s": (0, "s")}
"""Unit of the stored value: its power of ten and the unit that takes a prefix."""


def format_interval(interval: Interval | None, digits: int = 1, signed: bool = False) -> str:
    """`81.2 % [79.3, 83.0]`; a difference is signed and in points: `+3.1 [+0.4, +5.8]`."""
    if interval is None or not all(isfinite(value) for value in interval[:3]):
        return MISSING
    sign = "+" if signed else ""
    mean, low, high = (f"{round(100 * value, digits) + 0.0:{sign}.{digits}f}" for value in interval[:3])
    return f"{mean}{'' if signed else ' %'} [{low}, {high}]"


def percent(share: float | None, digits: int = 1) -> str:
    """`81.2 %` from 0.812."""
    return MISSING if share is None or not isfinite(share) else f"{100 * share:.{digits}f} %"


def human_value(value: float | None, unit: str = "", err: float | None = None) -> str:
    """Three significant digits with the prefix that suits: `1.23 M`, `4.56 µJ` from 4560 nJ, `12.3 ± 0.4 ms`.

    `unit` is the one that `value` and `err` are stored in: `""` (a count), `nJ`, `J`, `B`, `s`, or any other, which is
    then printed without a prefix. With `err` the digits stop at the first significant one of the error.
    """
    if value is None or not isfinite(value):
        return MISSING
    power, base = _SCALED.get(unit, (None, unit))
    shift = 0 if power is None else _shift(value, power, negative=base not in ("", "B"))
    scaled = value * 10.0 ** ((power or 0) - shift)
    name = (_PREFIXES[shift] if power is not None else "") + base
    if err is None or not isfinite(err) or err <= 0:
        text = f"{scaled:.{_decimals(scaled)}f}"
    else:
        error = err * 10.0 ** ((power or 0) - shift)
        decimals = max(0, -floor(log10(error)))
        text = f"{scaled:.{decimals}f} ± {error:.{decimals}f}"
    return f"{text} {name}".rstrip()


def duration(seconds: float | None) -> str:
    """`3.2 s`, `2 min 05 s`, `1 h 10 min`."""
    if seconds is None or not isfinite(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _shift(value: float, power: int, negative: bool) -> int:
    """The power of ten of the prefix: such that three digits read between 1 and 999."""
    if value == 0:
        return 0 if power == 0 else power
    magnitude = floor(log10(abs(value) * (1 + 5e-4))) + power
    return min(max(3 * (magnitude // 3), -9 if negative else 0), 12)


def _decimals(value: float) -> int:
    """Decimals for three significant digits; whole counts below 1000 keep none."""
    if value == int(value) and abs(value) < 1000:
        return 0
    return max(0, 2 - floor(log10(abs(value) * (1 + 5e-4))))
