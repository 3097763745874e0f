"""Writes tar headers: ustar, with a PAX header in front when something does not fit or has extended attributes. Pure."""

from __future__ import annotations

BLOCK = 512
_MAX_OCTAL_8 = 0o7777777
_MAX_OCTAL_12 = 0o77777777777


def header(
    name: bytes,
    kind: bytes,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    """The header blocks of one member. ``mtime`` in seconds; ``name`` of a directory ends in a slash."""
    records = [(b"SCHILY.xattr." + key, value) for key, value in xattrs]
    prefix, short = _split(name)
    if short is None:
        records.append((b"path", name))
        prefix, short = b"", name[:100]
    if len(link) > 100:
        records.append((b"linkpath", link))
    for key, value, limit in (
        (b"uid", uid, _MAX_OCTAL_8),
        (b"gid", gid, _MAX_OCTAL_8),
        (b"size", size, _MAX_OCTAL_12),
        (b"mtime", mtime, _MAX_OCTAL_12),
    ):
        if value > limit or value < 0:
            records.append((key, str(value).encode()))
    block = _block(
        short,
        kind,
        mode,
        _fit(uid, _MAX_OCTAL_8),
        _fit(gid, _MAX_OCTAL_8),
        _fit(size, _MAX_OCTAL_12),
        _fit(mtime, _MAX_OCTAL_12),
        link,
        device,
        prefix,
    )
    return (_pax(records) if records else b"") + block


def _fit(value: int, limit: int) -> int:
    return value if 0 <= value <= limit else 0


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    if len(name) <= 100 and name.isascii():
        return b"", name
    if not name.isascii():
        return b"", None
    cut = name.rfind(b"/", 0, 156)
    while cut > 0:
        if 0 < len(name) - cut - 1 <= 100:
            return name[:cut], name[cut + 1 :]
        cut = name.rfind(b"/", 0, cut)
        if len(name) - cut - 1 > 100:
            break
    return b"", None


def _block(
    name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, link: bytes, device: tuple[int, int], prefix: bytes
) -> bytes:  # fmt: skip
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, mtime)
    devices = b"%07o\0%07o\0" % device
    block = b"".join((
        name.ljust(100, b"\0"), numbers, b" " * 8, kind, link[:100].ljust(100, b"\0"), b"ustar\x0000",
        bytes(64), devices, prefix.ljust(155, b"\0"), bytes(12),
    ))  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax(records: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(_record(key, value) for key, value in sorted(records))
    start = _block(b"PaxHeaders.0/entry", b"x", 0o644, 0, 0, len(body), 0, b"", (0, 0), b"")
    return start + body + bytes(-len(body) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest
