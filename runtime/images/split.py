"""Keeps what is needed to write a layer's tar again, byte for byte, beside its unpacked files: headers and paddings, but no content.

The file is a zlib stream of records: ``R`` (raw bytes) and ``F`` (content of a file: path, offset, length). So a layer takes its unpacked
size on disk and a little more, and can be pushed, saved and verified without its original archive.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from runtime.errors import ImageError
from runtime.images.bytestream import CHUNK, ByteStream

_RAW = struct.Struct("<cI")
_FILE = struct.Struct("<cIQQ")
_FLUSH = 256 << 10


class SplitWriter:
    """A recorder (see ``unpack``) that writes ``path``."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "xb")  # noqa: SIM115  # closed by close()
        self._deflater = zlib.compressobj(1)
        self._pending: list[bytes] = []
        self._raw: list[bytes] = []
        self._raw_length = 0
        self._files = 0

    def raw(self, data: bytes) -> None:
        """Bytes that are not a file's content."""
        self._raw.append(data)
        self._raw_length += len(data)
        if self._raw_length >= _FLUSH:
            self._flush()

    def file(self, path: bytes, offset: int, length: int) -> int:
        """Content that stands at ``offset`` of ``path``; returns its ordinal."""
        self._end_raw()
        self._pending.append(_FILE.pack(b"F", len(path), offset, length) + path)
        self._files += 1
        return self._files - 1

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._file.write(self._deflater.flush())
        self._file.close()

    def _end_raw(self) -> None:
        if self._raw_length:
            self._pending.append(_RAW.pack(b"R", self._raw_length))
            self._pending.extend(self._raw)
            self._raw, self._raw_length = [], 0

    def _flush(self) -> None:
        self._end_raw()
        self._file.write(self._deflater.compress(b"".join(self._pending)))
        self._pending = []


def _records(path: str) -> Iterator[bytes | tuple[bytes, int, int]]:
    with open(path, "rb") as file:
        stream = ByteStream(_inflated(file))
        while kind := stream.take(1):
            if kind == b"R":
                yield stream.exactly(_RAW.unpack(kind + stream.take(_RAW.size - 1))[1], path)
            else:
                _, length, offset, size = _FILE.unpack(kind + stream.take(_FILE.size - 1))
                yield stream.exactly(length, path), offset, size


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    while data := file.read(_FLUSH):
        while data:
            yield inflater.decompress(data, CHUNK)
            data = inflater.unconsumed_tail
    yield inflater.flush()


def assemble(layer: str, replaced: Sequence[tuple[int, str, int]]) -> Iterator[bytes]:
    """The layer's tar in chunks, out of ``<layer>/split`` and ``<layer>/diff``. Raises ImageError when something is missing.

    The caller compares the digest: content that was changed behind our back shows there.
    """
    ordinal = 0
    try:
        for record in _records(f"{layer}/split"):
            if isinstance(record, bytes):
                yield record
            else:
                path, offset, length = record
                yield from _content(_place(layer, path, ordinal, replaced), offset, length)
                ordinal += 1
    except (OSError, zlib.error, struct.error) as error:
        raise ImageError(f"the layer in {layer} is damaged: {error}", hint="pull or load the image again") from error


def _place(layer: str, path: bytes, ordinal: int, replaced: Sequence[tuple[int, str, int]]) -> bytes:
    for before, hidden, number in replaced:
        prefix = os.fsencode(hidden)
        if ordinal < before and (path == prefix or path.startswith(prefix + b"/")):
            return os.fsencode(f"{layer}/replaced/{number}") + path[len(prefix) :]
    return os.fsencode(f"{layer}/diff/") + path


def _content(path: bytes, offset: int, length: int) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while length:
            data = os.pread(descriptor, min(CHUNK, length), offset)
            if not data:
                raise ImageError(f"{os.fsdecode(path)} is shorter than when it was unpacked", hint="pull or load the image again")
            offset, length = offset + len(data), length - len(data)
            yield data
    finally:
        os.close(descriptor)
