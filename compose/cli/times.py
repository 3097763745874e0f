"""Moments and lengths of time as flags spell them: RFC 3339, Unix seconds, "42m". Pure; in the command's process."""

from __future__ import annotations

import re
import time

from compose.errors import UsageError

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d|w)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
    "w": 7 * 86400 * 10**9,
}
_MOMENT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):?(\d{2})?(?::(\d{2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d{2}:?\d{2})?",
)


def moment(text: str, now: int) -> int:
    """A moment in ns since the epoch: a date, Unix seconds, or a length of time before ``now``. Raises UsageError."""
    if re.fullmatch(r"\d+(\.\d{1,9})?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + int(fraction.ljust(9, "0") or 0)
    length = _length(text.removeprefix("-"))
    if length is not None:
        return now + length if text.startswith("-") else now - length
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise UsageError(
            f"invalid time {text!r}", hint="a date (2013-01-02T13:23:37Z), seconds since 1970, or a length of time (42m, 1h30m)"
        )
    return _from_date(found, text)


def _length(text: str) -> int | None:
    """A length of time in ns, or None."""
    parts = _PART.findall(text)
    if not parts or "".join(f"{n}{u}" for n, u in parts) != text:
        return None
    return int(sum(float(n) * _NANOSECONDS[u] for n, u in parts))


def _from_date(found: re.Match[str], text: str) -> int:
    import calendar

    year, month, day, hour, minute, second = (int(found[i] or 0) for i in range(1, 7))
    fields = (year, month, day, hour, minute, second, 0, 0, -1)
    try:
        seconds = calendar.timegm(fields) - _offset(found[8]) if found[8] else int(time.mktime(fields))
    except (OverflowError, ValueError):
        raise UsageError(f"invalid time {text!r}") from None
    return seconds * 10**9 + int((found[7] or "").ljust(9, "0"))


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return seconds if zone[0] == "+" else -seconds
