"""PAX extended headers and sparse maps (tar(5), POSIX.1-2001 pax interchange format). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runtime.errors import ImageError
from runtime.record import dataclass

_MAX_PIECES = 1_000_000


@dataclass(frozen=True, slots=True)
class SparseMap:
    """The (offset, length) pieces of a sparse file that hold data; ``in_body`` when the map itself is still to be read there."""

    pieces: tuple[tuple[int, int], ...]
    in_body: bool = False


def pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) records of an extended header: ``<length> <key>=<value>\\n``."""
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 12)
        digits = data[position:space] if space > 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space or not equals or data[end - 1 : end] != b"\n":
            if not data[position:].strip(b"\0"):
                return
            raise ImageError("an extended tar header is malformed", hint="the archive is damaged")
        yield key, value
        position = end


def pax_time(text: bytes) -> int:
    """Decimal seconds with an optional fraction, in nanoseconds."""
    whole, _, fraction = text.partition(b".")
    negative = whole.startswith(b"-")
    digits = whole.lstrip(b"-") or b"0"
    if not digits.isdigit() or len(digits) > 18 or (fraction and not fraction.isdigit()):
        raise ImageError(f"an extended tar header holds a malformed time: {text[:40]!r}")
    value = int(digits) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or b"0")
    return -value if negative else value


def sparse_from_pax(pax: dict[bytes, bytes]) -> tuple[SparseMap | None, int | None]:
    """The sparse map of GNU's formats 0.1 and 1.0 and the file's real size, or (None, None)."""
    if pax.get(b"GNU.sparse.major") == b"1":
        return SparseMap((), in_body=True), _decimal(pax.get(b"GNU.sparse.realsize", b""))
    if b"GNU.sparse.map" in pax:
        numbers = [_decimal(n) for n in pax[b"GNU.sparse.map"].split(b",")] if pax[b"GNU.sparse.map"] else []
        if len(numbers) % 2:
            raise ImageError("a sparse file's map is malformed")
        return SparseMap(tuple(zip(numbers[::2], numbers[1::2], strict=True))), _decimal(pax.get(b"GNU.sparse.size", b""))
    if b"GNU.sparse.size" in pax:
        raise ImageError(
            "a sparse file is stored in GNU's format 0.0, which no current tar writes", hint="write it with --sparse-version=1.0"
        )
    return None, None


def old_sparse(block: bytes, continuation: Callable[[], bytes]) -> tuple[SparseMap, int]:
    """GNU's old sparse header: four pieces in the header, then continuation blocks of 21."""
    pieces = _old_pieces(block[386:482])
    more = block[482]
    while more:
        following = continuation()
        pieces += _old_pieces(following[:504])
        more = following[504]
        if len(pieces) > _MAX_PIECES:
            raise ImageError(f"a sparse file has more than {_MAX_PIECES} pieces")
    return SparseMap(tuple(p for p in pieces if p[1])), _octal(block[483:495])


def _old_pieces(data: bytes) -> list[tuple[int, int]]:
    return [(_octal(data[at : at + 12]), _octal(data[at + 12 : at + 24])) for at in range(0, len(data), 24) if data[at]]


def _octal(text: bytes) -> int:
    if text[0] & 0x80:
        return int.from_bytes(text[1:], "big")
    stripped = text.split(b"\0", 1)[0].strip()
    if stripped and not stripped.isdigit():
        raise ImageError("a sparse file's map is malformed")
    return int(stripped, 8) if stripped else 0


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ImageError("a sparse file's map is malformed")
    return int(text)
