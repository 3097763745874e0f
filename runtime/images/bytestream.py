"""A forward-only stream over chunks of bytes: exact reads for headers, uncopied pieces for bodies; hashing and reading ahead."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from runtime.errors import ImageError

CHUNK = 1 << 20


class ByteStream:
    """Reads exact lengths from chunks of any length. ``position`` is the number of bytes taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._view = memoryview(b"")
        self._offset = 0
        self._before = 0

    @property
    def position(self) -> int:
        """Bytes taken so far."""
        return self._before + self._offset

    def take(self, length: int) -> bytes:
        """Exactly ``length`` bytes; fewer only when the stream ends."""
        end = self._offset + length
        if end <= len(self._view):
            found = bytes(self._view[self._offset : end])
            self._offset = end
            return found
        return b"".join(self.pieces(length))

    def exactly(self, length: int, what: str) -> bytes:
        """``take`` that refuses a short read."""
        found = self.take(length)
        if len(found) != length:
            raise ImageError(f"{what} is cut short", hint="the archive is truncated; fetch or save it again")
        return found

    def pieces(self, length: int) -> Iterator[memoryview]:
        """The next ``length`` bytes as views, good until the next one is asked for; fewer when the stream ends."""
        while length > 0:
            if self._offset >= len(self._view) and not self._refill():
                return
            piece = self._view[self._offset : self._offset + length]
            self._offset += len(piece)
            length -= len(piece)
            yield piece

    def _refill(self) -> bool:
        for chunk in self._chunks:
            if chunk:
                self._before += len(self._view)
                self._view = memoryview(chunk)
                self._offset = 0
                return True
        return False


class Hashing:
    """Passes chunks through, taking their sha256 and length on the way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self.length = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.length += len(chunk)
            yield chunk

    @property
    def digest(self) -> str:
        """The digest of what has passed."""
        return f"sha256:{self._hash.hexdigest()}"


def read_chunks(source: BinaryIO | Iterable[bytes], size: int = CHUNK) -> Iterator[bytes]:
    """A file's content in chunks; what comes in chunks already is passed on."""
    read = getattr(source, "read", None)
    if read is None:
        yield from source
        return
    while chunk := read(size):
        yield chunk


class ReadAhead:
    """Runs an iterator in a thread of its own, ``depth`` chunks ahead, so that decompressing and writing use two cores.

    Errors of the source are raised to the reader. ``close`` ends the thread even when the reader stops early.
    """

    def __init__(self, chunks: Iterable[bytes], depth: int = 8) -> None:
        self._chunks = chunks
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop reading and wait for the thread."""
        self._closed.set()
        while self._thread.is_alive():
            self._drain()
            self._thread.join(0.02)

    def _run(self) -> None:
        try:
            for chunk in self._chunks:
                if self._closed.is_set():
                    return
                self._queue.put(chunk)
            self._queue.put(None)
        except BaseException as error:  # handed to the reader, who raises it
            self._queue.put(error)

    def _drain(self) -> None:
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            return
