"""Numbers as Go writes them: Compose's text for floats, sizes and durations follows Go's ``strconv``. Pure; runs in the command's process."""

from __future__ import annotations

import math
import re
import struct

_SECOND = 10**9
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86400 * _SECOND,
    "w": 7 * 86400 * _SECOND,
}
_PART = re.compile(r"([0-9]*\.?[0-9]*)([a-zµμ]+)")
_SIZE = re.compile(r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+\.) ?([a-zA-Z]*)")
_MULTIPLIERS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_LARGEST = 2**63 - 1


def _digits(value: float) -> tuple[str, int]:
    """Shortest digits that read back as ``value`` and the place of the point after the first of them."""
    mantissa, exponent = f"{value!r:}".lower(), 0
    if "e" in mantissa:
        mantissa, _, power = mantissa.partition("e")
        exponent = int(power)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + exponent - (len(whole + fraction) - len(digits))
    return digits.rstrip("0") or "0", point


def float_text(value: float, *, most: int = 6) -> str:
    """``%v`` of a float64: fixed notation up to ``most`` digits before the point (6; 21 in JSON), then ``1e+06``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign = "-" if value < 0 else ""
    digits, point = _digits(abs(value))
    exponent = point - 1
    if exponent < (-4 if most == 6 else -6) or exponent >= most:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def single(value: float) -> float:
    """The shortest decimal of the float32 nearest to ``value``: what Compose keeps of ``cpus``."""
    try:
        packed: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    for precision in range(1, 10):
        short = float(f"{packed:.{precision}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == packed:
            return short
    return packed


def parse_size(text: str) -> int:
    """Bytes out of ``512``, ``64m``, ``1.5gb`` … (powers of 1024; docker/go-units). Raises ValueError that names the fault."""
    found = _SIZE.fullmatch(text.replace("_", "")) if text else None
    if found is None:
        raise ValueError(f"invalid size: {text!r}")
    number, unit = found[1], found[2].lower()
    short = unit[:-1] if len(unit) == 2 and unit[1] == "b" else unit[:-2] if len(unit) == 3 and unit[1:] == "ib" else unit
    if short not in _MULTIPLIERS or (short == "b" and unit != "b"):
        raise ValueError(f"invalid suffix: {found[2]!r}")
    value = float(number) if not number.lstrip("+-").isdigit() else int(number)
    if value < 0 and (value != -1 or unit):
        raise ValueError(f"invalid size: {text!r}")
    size = value * _MULTIPLIERS[short]
    if size > _LARGEST:  # infinity, too: a float's exponent is the user's
        raise ValueError(f"invalid size: {text!r} does not fit in 64 bits")
    return int(size)


def parse_duration(text: str) -> int:
    """Nanoseconds out of ``1h30m``, ``1.5s``, ``1w2d`` … Raises ValueError that names the fault."""
    rest = text
    negative = rest[:1] == "-"
    rest = rest[1:] if rest[:1] in ("-", "+") else rest
    if rest == "0":
        return 0
    total = 0
    position = 0
    while position < len(rest):
        found = _PART.match(rest, position)
        if found is None or found[1] in ("", "."):
            raise ValueError(
                f"missing unit in duration {text!r}" if rest[position:].replace(".", "", 1).isdigit() else f"invalid duration {text!r}"
            )
        if found[2] not in _UNITS:
            raise ValueError(f"unknown unit {found[2]!r} in duration {text!r}")
        whole, _, fraction = found[1].partition(".")
        total += int(whole or 0) * _UNITS[found[2]] + int(fraction or 0) * _UNITS[found[2]] // 10 ** len(fraction)
        position = found.end()
    if not rest or abs(total) > _LARGEST:
        raise ValueError(f"invalid duration {text!r}")
    return -total if negative else total


def duration_text(nanoseconds: int) -> str:
    """Go's text of a duration: ``24h0m0s``, ``1m30s``, ``1.5s``, ``500ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    sign, value = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if value < 10**9:
        for name, unit in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if value >= unit:
                return sign + _fraction(value, unit) + name
    hours, rest = divmod(value, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_fraction(rest, 10**9)}s"


def _fraction(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).rjust(len(str(unit)) - 1, '0').rstrip('0')}"
