"""gzip and zstd as layers use them: found by magic number, streamed, many members and frames, never more than was paid for."""

from __future__ import annotations

import itertools
import os
import struct
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from runtime.errors import ImageError

if TYPE_CHECKING:
    from concurrent.futures import Future

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_OUT = 1 << 20
_BLOCK = 1 << 20  # what is deflated in one piece; changing it changes digests
_WINDOW = 32 << 10  # how far deflate looks back (RFC 1951)
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


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
        from isal import isal_zlib  # twice as fast; there is none for other processors
    except ImportError:
        return zlib.decompressobj(31)
    return isal_zlib.decompressobj(31)


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
    """The gzip form (RFC 1952), the same bytes for the same content on any number of processors (no name, no time).

    Blocks of fixed length are deflated side by side, each knowing the 32 KiB before it, and end on a byte: together they are one stream.
    """
    from concurrent.futures import ThreadPoolExecutor

    processors = os.cpu_count() or 1
    waiting: deque[Future[bytes]] = deque()
    check = length = 0
    yield _GZIP_HEADER
    with ThreadPoolExecutor(processors, thread_name_prefix="deflate") as pool:
        before = b""
        for block in _blocks(chunks):
            check, length = zlib.crc32(block, check), length + len(block)
            waiting.append(pool.submit(_deflated, block, before, level))
            before = block[-_WINDOW:]
            if len(waiting) > 2 * processors:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    yield zlib.compressobj(level, zlib.DEFLATED, -15).flush() + struct.pack("<II", check, length & 0xFFFFFFFF)


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of one length, but for the last."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= _BLOCK:
            yield bytes(held[:_BLOCK])
            del held[:_BLOCK]
    if held:
        yield bytes(held)


def _deflated(block: bytes, before: bytes, level: int) -> bytes:
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15, zdict=before) if before else zlib.compressobj(level, zlib.DEFLATED, -15)
    return deflater.compress(block) + deflater.flush(zlib.Z_SYNC_FLUSH)


def _damaged(kind: str, error: Exception) -> ImageError:
    return ImageError(f"the {kind} stream is damaged: {error}", hint="fetch or save the archive again")
