"""Downloads that were cut off, kept to be gone on with by another process: ``<root>/images/ingest/<blob's digest>``, the bytes so far.

A file belongs to whoever holds its lock; a second pull of the same blob downloads on its own. Nothing in here is trusted: what was kept
passes through the same digest as what comes after it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator

from runtime import store
from runtime.images import digest as digests

LEAST = 1 << 20  # bytes: smaller blobs are fetched again sooner than looked for
STALE = 24 * 3600  # seconds without a byte, after which a collection takes what was kept
_CHUNK = 1 << 20


class Partial:
    """One blob's bytes so far. Use it in ``with``; without room or lock it keeps nothing and says so by ``length`` 0."""

    def __init__(self, root: str, digest: str, size: int) -> None:
        self._path = f"{root}/ingest/{digests.hex_of(digest, 'blob digest')}"
        self._descriptor = _claimed(self._path) if size >= LEAST else -1
        self.length = os.fstat(self._descriptor).st_size if self._descriptor >= 0 else 0
        self.resumed = self.length > 0
        if self.length > size:
            self.discard()

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0 and not os.fstat(self._descriptor).st_size:
            store.remove_file(self._path)
        self._close()

    def read(self) -> Iterator[bytes]:
        """What was kept, in chunks."""
        offset = 0
        while offset < self.length and (data := os.pread(self._descriptor, min(_CHUNK, self.length - offset), offset)):
            offset += len(data)
            yield data

    def append(self, data: bytes) -> None:
        """Keep some more; a full disk ends the keeping, not the download."""
        if self._descriptor < 0:
            return
        try:
            self.length += os.pwrite(self._descriptor, data, self.length)
        except OSError:
            self.discard()

    def discard(self) -> None:
        """Keep nothing: the blob has arrived, or was wrong."""
        if self._descriptor >= 0:
            store.remove_file(self._path)
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor, self.length = self._descriptor, -1, 0
        if descriptor >= 0:
            os.close(descriptor)


def _claimed(path: str) -> int:
    """A descriptor of the file, locked; -1 when somebody else has it."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:  # else its owner finished between our open and our lock
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return -1


def sweep(root: str, *, stale: float = STALE) -> int:
    """Remove what nobody downloads and nobody added to for ``stale`` seconds; returns the bytes freed as the disk counts them."""
    freed = 0
    for name in store.entries(f"{root}/ingest"):
        path = f"{root}/ingest/{name}"
        try:
            found = os.stat(path)
        except FileNotFoundError:
            continue
        if found.st_mtime <= time.time() - stale and not store.is_locked(path):
            store.remove_file(path)
            freed += found.st_blocks * 512
    return freed
