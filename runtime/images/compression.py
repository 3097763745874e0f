"""gzip and zstd as layers use them: found by magic number, streamed, many members and frames, never more than was paid for."""

from __future__ import annotations

import itertools
import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from runtime.errors import ImageError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_OUT = 1 << 20


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def kind_of(head: bytes) -> str:
    """ "gzip", "zstd" or "" for the first bytes of a stream."""
    if head.startswith(GZIP_MAGIC):
        return "gzip"
    return "zstd" if head.startswith(ZSTD_MAGIC) or (len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50) else ""


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content, whatever of none, gzip or zstd it is packed with."""
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= 4:
            break
    joined = itertools.chain((head,), source)
    match kind_of(head):
        case "gzip":
            return _gunzip(joined)
        case "zstd":
            return _unzstd(joined)
        case _:
            return joined


def _new_inflater() -> _Inflater:
    try:
        from isal import isal_zlib  # type: ignore[import-not-found,unused-ignore]  # optional: twice as fast
    except ImportError:
        return zlib.decompressobj(31)
    return isal_zlib.decompressobj(31)  # type: ignore[no-any-return,unused-ignore]


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflater = _new_inflater()
    fed = False
    for chunk in chunks:
        data = chunk
        while data:
            if inflater.eof:
                if not data.strip(b"\0"):  # padding after the last member, as gzip(1) accepts
                    break
                inflater, fed = _new_inflater(), False
            try:
                output = inflater.decompress(data, _OUT)
            except Exception as error:  # zlib.error, or isal's own class
                raise _damaged("gzip", error) from None
            fed = True
            data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if output:
                yield output
    yield from _rest(inflater)
    if not (inflater.eof or not fed):
        raise ImageError("the gzip stream is cut short", hint="fetch or save the archive again")


def _rest(inflater: _Inflater) -> Iterator[bytes]:
    while not inflater.eof:
        try:
            output = inflater.decompress(inflater.unconsumed_tail, _OUT)
        except Exception as error:
            raise _damaged("gzip", error) from None
        if not output:
            return
        yield output


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 27}  # 128 MiB, what every registry client accepts
    inflater = zstd.ZstdDecompressor(options=options)
    for chunk in chunks:
        data = chunk
        while data or not (inflater.eof or inflater.needs_input):
            if inflater.eof:
                inflater = zstd.ZstdDecompressor(options=options)
            try:
                output = inflater.decompress(data, _OUT)
            except zstd.ZstdError as error:
                raise _damaged("zstd", error) from None
            data = inflater.unused_data if inflater.eof else b""
            if output:
                yield output
    if not inflater.eof:
        raise ImageError("the zstd stream is cut short", hint="fetch or save the archive again")


def gzipped(chunks: Iterable[bytes], level: int = 6) -> Iterator[bytes]:
    """The gzip form, the same bytes for the same content (no name, no time)."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, 31)
    for chunk in chunks:
        if output := deflater.compress(chunk):
            yield output
    yield deflater.flush()


def _damaged(kind: str, error: Exception) -> ImageError:
    return ImageError(f"the {kind} stream is damaged: {error}", hint="fetch or save the archive again")
