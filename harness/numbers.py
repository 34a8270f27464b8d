"""Numbers as people read them: to the digits that an interval gives meaning to, with units, and counts with nouns."""

from __future__ import annotations

import math

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int | None = None, significant: int = 4) -> str:
    """A number with so many decimals, or to so many significant digits.

    >>> number(0.93158), number(-0.0012, 4), number(123456.7), number(9.44e-16), number(-0.0001, 2), number(None)
    ('0.9316', '−0.0012', '1.235·10⁵', '9.44·10⁻¹⁶', '0.00', '')
    >>> number(0.9315824, significant=6), number(math.inf), number(math.nan)
    ('0.931582', 'inf', 'nan')
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return f"{value}".replace("-", "−")
    if digits is None and value and not 1e-4 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.{significant - 1}e}".partition("e")
        power = "10" + str(int(exponent)).translate(_RAISED)
        mantissa = f"{float(mantissa):.{significant}g}".replace("-", "−")
        return power if mantissa == "1" else f"{mantissa}·{power}"
    text = f"{value:.{significant}g}" if digits is None else f"{value:.{digits}f}"
    if "e" in text:
        text = f"{value:.0f}"
    return text.removeprefix("-") if not float(text) else text.replace("-", "−")


def with_interval(mean: float | None, low: float | None, high: float | None) -> str:
    """An estimate and its interval.

    >>> with_interval(0.0209, 0.01193, 0.02987), with_interval(3.0, None, None)
    ('0.021 [0.012, 0.030]', '3')
    """
    if mean is None or low is None or high is None:
        return number(mean)
    digits = decimals(high - low)
    return f"{number(mean, digits)} [{number(low, digits)}, {number(high, digits)}]"


def form_of_width(width: float) -> str:
    """The format of numbers to as many digits as an interval of this width gives meaning to.

    >>> form_of_width(0.012), form_of_width(float("inf"))
    ('.3f', '.4g')
    """
    digits = 1 - math.floor(math.log10(width)) if 0 < width < math.inf else None
    return f".{max(digits, 0)}f" if digits is not None and digits < 7 else ".4g"


def with_half(mean: float, low: float | None, high: float | None) -> str:
    """A mean and half of its interval.

    >>> with_half(0.93163, 0.9266, 0.9366)
    '0.9316 ± 0.0050'
    """
    if low is None or high is None or high == low:
        return number(mean)
    digits = decimals((high - low) / 2)
    half = (high - low) / 2
    return f"{number(mean, digits)} ± {number(half, digits) if digits is not None else number(float(f'{half:.2g}'))}"


def decimals(width: float) -> int | None:
    """Decimals that show two digits of an interval's width; None where powers of ten read better.

    >>> decimals(0.018), decimals(250.0), decimals(0.0), decimals(1e-9)
    (3, 0, None, None)
    """
    if not 0 < width < math.inf:
        return None
    digits = 1 - math.floor(math.log10(width))
    return max(digits, 0) if -2 <= digits <= 6 else None


def duration(seconds: float) -> str:
    """A length of time.

    >>> duration(0.0021), duration(1.8), duration(59.7), duration(75), duration(7500)
    ('2.1 ms', '1.8 s', '1 min 0 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < 0.0995:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def short_time(seconds: float | None) -> str:
    """A measured time of a call, to three digits.

    >>> short_time(0.0123), short_time(3.2e-6), short_time(123.4), short_time(None)
    ('12.3 ms', '3.20 µs', '123 s', '')
    """
    if seconds is None:
        return ""
    factor, unit = next(((f, u) for f, u in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if seconds * f >= 1), (1e9, "ns"))
    value = seconds * factor
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f} {unit}" if value else "0 s"


def memory(count: float | None) -> str:
    """An amount of memory in bytes.

    >>> memory(59_900_000), memory(0), memory(2_340_000_000), memory(None)
    ('59.9 MB', '0 MB', '2.34 GB', '')
    """
    if count is None:
        return ""
    return f"{count / 1e6:.3g} MB" if count < 0.9995e9 else f"{count / 1e9:.3g} GB"


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "cell"), plural(3, "cell")
    ('1 cell', '3 cells')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
