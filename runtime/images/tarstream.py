"""Reads tar headers off a stream: ustar, GNU (long names, base-256, sparse) and PAX, as tar(5) describes them. Bytes in, entries out.

Names stay bytes: a layer may hold any name the kernel takes. Everything read that is not a file's body goes to ``raw``, so that the
very same tar can be written again (``split``). Nothing here touches the file system.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import field, replace

from runtime.errors import ImageError
from runtime.images.bytestream import CHUNK, ByteStream
from runtime.images.limits import DEFAULT, Limits
from runtime.images.pax import SparseMap, old_sparse, pax_records, pax_time, sparse_from_pax
from runtime.record import dataclass

BLOCK = 512
_ZEROS = bytes(BLOCK)
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_GNU_MAGIC = b"ustar  \0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One member. ``kind`` is its type flag normalised to one of ``0 1 2 3 4 5 6``; ``size`` is what is stored, ``real_size`` the file's.

    ``sparse`` are the (offset, length) pieces that the stored bytes fill; ``xattrs`` come from SCHILY.xattr records.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    sparse: SparseMap | None = None
    real_size: int = 0

    def shown(self) -> str:
        """The name for messages, however it is encoded."""
        return self.name[:200].decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class _Pending:
    """What extension headers said about the next member."""

    name: bytes | None = None
    link: bytes | None = None
    pax: dict[bytes, bytes] = field(default_factory=dict)


class TarStream:
    """Iterate it for entries; ask ``body`` for the current entry's bytes before going on (what is left is passed to ``raw``)."""

    def __init__(self, stream: ByteStream, raw: Callable[[bytes], None], limits: Limits = DEFAULT) -> None:
        self._stream = stream
        self._raw = raw
        self._limits = limits
        self._global: dict[bytes, bytes] = {}
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        pending = _Pending()
        while True:
            self._finish_body()
            block = self._stream.take(BLOCK)
            if not block or block == _ZEROS:
                self._raw(block)
                self._trailer()
                return
            if len(block) != BLOCK:
                raise ImageError("the tar archive is cut short inside a header", hint="fetch or save it again")
            self._raw(block)
            entry = self._member(block, pending)
            if entry is not None:
                yield entry
                pending = _Pending()

    def body(self) -> Iterator[memoryview]:
        """The current entry's stored bytes; raises ImageError when the archive ends early."""
        while self._left:
            before = self._left
            for piece in self._stream.pieces(self._left):
                self._left -= len(piece)
                yield piece
            if self._left == before or self._left:
                raise ImageError("the tar archive is cut short inside a file", hint="fetch or save it again")

    def small_body(self, limit: int, what: str) -> bytes:
        """The whole body of a metadata member, recorded as raw."""
        if self._left > limit:
            raise ImageError(f"{what} has {self._left} bytes; more than {limit} is refused")
        found = b"".join(self.body())
        self._raw(found)
        return found

    def _finish_body(self) -> None:
        for piece in self.body():
            self._raw(bytes(piece))
        if self._padding:
            self._raw(self._stream.exactly(self._padding, "the tar archive"))
            self._padding = 0

    def _trailer(self) -> None:
        while rest := self._stream.take(CHUNK):
            self._raw(rest)

    def _member(self, block: bytes, pending: _Pending) -> Entry | None:
        fields = _HEADER.unpack(block)
        _check_sum(block, fields[6])
        kind: bytes = fields[7]
        size = _number(fields[4])
        if kind in b"xgLK":
            self._open_body(size)
            self._extension(kind, pending)
            return None
        if kind == b"V":
            self._open_body(size)
            return None
        return self._entry(block, fields, kind, size, pending)

    def _open_body(self, size: int) -> None:
        if size < 0:
            raise ImageError("a tar header has a negative size")
        self._left = size
        self._padding = -size % BLOCK

    def _extension(self, kind: bytes, pending: _Pending) -> None:
        data = self.small_body(self._limits.header, "an extended tar header")
        match kind:
            case b"x":
                pending.pax.update(pax_records(data))
            case b"g":
                self._global.update(pax_records(data))
            case b"L":
                pending.name = data.split(b"\0", 1)[0]
            case _:
                pending.link = data.split(b"\0", 1)[0]
        self._finish_body()

    def _entry(self, block: bytes, fields: tuple[bytes, ...], flag: bytes, size: int, pending: _Pending) -> Entry:
        name, link = _header_names(fields, pending)
        mode, uid, gid, mtime = _number(fields[1]), _number(fields[2]), _number(fields[3]), _number(fields[5]) * 1_000_000_000
        device = (_number(fields[12]), _number(fields[13])) if flag in b"34" else (0, 0)
        entry = Entry(name, flag, mode & 0o7777, uid, gid, size, mtime, link, device, real_size=size)
        if pending.pax or self._global:
            entry = _with_pax(entry, {**self._global, **pending.pax})
        kind = _kind(flag, entry.name)  # only now: a header's own name may be cut at a slash where PAX has it whole
        if kind != flag:
            entry = replace(entry, kind=kind)
        if kind != b"0":
            if flag not in b"123456" and entry.size:
                raise ImageError(f"a tar entry is a file with content by its type and a directory by its name: {entry.shown()}")
            self._open_body(0)  # a link's size field may hold its target's size: there is no body
            return entry
        self._open_body(entry.size)
        return self._sparse(entry, block, flag)

    def _sparse(self, entry: Entry, block: bytes, kind: bytes) -> Entry:
        if kind == b"S" and entry.sparse is None:
            found, real_size = old_sparse(block, self._continuation)
            return replace(entry, sparse=found, real_size=real_size)
        if entry.sparse is not None and entry.sparse.in_body:
            return replace(entry, sparse=self._map_in_body())
        return entry

    def _continuation(self) -> bytes:
        block = self._stream.exactly(BLOCK, "a sparse map")
        self._raw(block)
        return block

    def _map_in_body(self) -> SparseMap:
        """GNU sparse 1.0: the map stands, as decimal lines, in the first blocks of the body."""
        text = b""
        numbers: list[int] = []
        while not numbers or len(numbers) < 1 + 2 * numbers[0]:
            if self._left < BLOCK or len(text) > self._limits.header:
                raise ImageError("a sparse file's map is malformed")
            block = self._stream.exactly(BLOCK, "a sparse map")
            self._left -= BLOCK
            self._raw(block)
            text += block
            numbers = [_decimal(line) for line in text.split(b"\n")[:-1]][
                : 1 + 2 * (_decimal(text.split(b"\n")[0]) if b"\n" in text else 0)
            ]
        pairs = numbers[1:]
        return SparseMap(tuple(zip(pairs[::2], pairs[1::2], strict=True)))


def _header_names(fields: tuple[bytes, ...], pending: _Pending) -> tuple[bytes, bytes]:
    name, link = fields[0].split(b"\0", 1)[0], fields[8].split(b"\0", 1)[0]
    if fields[9][:6] == b"ustar\0" and fields[14][:1] != b"\0":
        name = fields[14].split(b"\0", 1)[0] + b"/" + name
    return (name if pending.name is None else pending.name), (link if pending.link is None else pending.link)


def _with_pax(entry: Entry, pax: dict[bytes, bytes]) -> Entry:
    sparse, real_size = sparse_from_pax(pax)
    size = _decimal(pax[b"size"]) if b"size" in pax else entry.size
    name = pax.get(b"GNU.sparse.name") or pax.get(b"path") or entry.name
    link = pax.get(b"linkpath") or entry.link
    if b"\0" in name or b"\0" in link:
        raise ImageError(f"a layer entry's name holds a NUL byte: {entry.shown()}")
    return replace(
        entry,
        name=name,
        uid=_decimal(pax[b"uid"]) if b"uid" in pax else entry.uid,
        gid=_decimal(pax[b"gid"]) if b"gid" in pax else entry.gid,
        size=size,
        mtime_ns=pax_time(pax[b"mtime"]) if b"mtime" in pax else entry.mtime_ns,
        link=link,
        xattrs=tuple((k[13:], v) for k, v in pax.items() if k.startswith(b"SCHILY.xattr.")),
        sparse=sparse,
        real_size=size if real_size is None else real_size,
    )


def _kind(flag: bytes, name: bytes) -> bytes:
    if flag in (b"0", b"\0", b"7", b"S"):
        return b"5" if name.endswith(b"/") and flag != b"S" else b"0"
    if flag in (b"1", b"2", b"3", b"4", b"5", b"6"):
        return flag
    raise ImageError(f"a tar entry is of unknown type {flag!r}: {name[:200].decode('utf-8', 'backslashreplace')}")


def _check_sum(block: bytes, stored: bytes) -> None:
    total = sum(block) - sum(stored) + 256  # the checksum field counts as eight spaces
    if _number(stored) != total:
        raise ImageError("a tar header's checksum is wrong", hint="the archive is damaged, or not a tar archive")


def _number(text: bytes) -> int:
    """Octal text, or GNU's base-256 when the first bit is set."""
    if text[0] & 0x80:
        value = int.from_bytes(text, "big") & ~(0x80 << (8 * (len(text) - 1)))
        return value - (1 << (8 * len(text) - 1)) if text[0] & 0x40 else value
    digits = text.split(b"\0", 1)[0]
    try:
        return int(digits, 8)
    except ValueError:
        if not digits.strip():
            return 0
        raise ImageError(f"a tar header holds a malformed number: {text!r}") from None


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ImageError(f"an extended tar header holds a malformed number: {text[:40]!r}")
    return int(text)
