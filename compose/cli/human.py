"""Durations, sizes and texts as people read them, in the words Docker uses. Pure; in the command's process."""

from __future__ import annotations

_HOURS = ((48, 1, "hours"), (14 * 24, 24, "days"), (60 * 24, 7 * 24, "weeks"), (2 * 365 * 24, 30 * 24, "months"))
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def duration(seconds: float) -> str:
    """A length of time: "Less than a second", "About a minute", "3 weeks"."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if whole < 3600:
        return "About a minute" if whole < 120 else f"{whole // 60} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, unit, name in _HOURS:
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{hours // 24 // 365} years"


def size(count: float, digits: int = 3) -> str:
    """Bytes in powers of 1000 ("1.98MB"), ``digits`` of them significant."""
    return _scaled(count, 1000, _DECIMAL, digits)


def memory(count: float) -> str:
    """Bytes in powers of 1024 ("23.54GiB")."""
    return _scaled(count, 1024, _BINARY, 4)


def _scaled(count: float, base: int, units: tuple[str, ...], digits: int) -> str:
    index = 0
    while count >= base and index < len(units) - 1:
        count /= base
        index += 1
    return f"{count:.{digits}g}{units[index]}"


def ellipsis(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters, the last one "…" when something was cut."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def timestamp(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds: 2026-11-22T03:17:20.739282240Z."""
    import time

    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


def local_time(time_ns: int) -> str:
    """A moment on the user's clock: 2026-11-22 03:17:20 +0000 UTC."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(time_ns // 1_000_000_000))


def quoted(text: str) -> str:
    """``text`` between double quotes, escaped as Go's strconv.Quote does."""
    return '"' + "".join(_escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    known = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
    if character in known:
        return known[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
