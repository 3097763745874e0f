"""Digests of file contents, remembered by (path, inode, size, mtime, ctime) so that an unchanged context is not read again.

One JSON file per context below ``<root>/images/cache/contents``; losing it costs time only. Used from worker threads of the command's process.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time

from runtime.store import read_file, write_atomic

# A file changed twice within the clock's grain keeps its ctime: what is younger than this when hashed is not remembered.
_GRAIN_NS = 50_000_000
_CHUNK = 1 << 20

Stamp = tuple[int, int, int, int]


class Contents:
    """The digests of one tree's files. ``save`` writes them down when there is something new."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._known = _load(place)
        self._fresh: dict[str, tuple[Stamp, str]] = {}
        self._seen: dict[str, Stamp] = {}
        self._changed = False

    def differs(self, path: str, found: os.stat_result) -> bool:
        """Whether a file is another one than when its digest was asked for."""
        seen = self._seen.get(path)
        return seen is not None and seen != (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def digest(self, path: str, found: os.stat_result) -> str:
        """The SHA-256 (hex) of a regular file's content."""
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        self._seen[path] = stamp
        known = self._fresh.get(path) or self._known.get(path)
        if known is not None and known[0] == stamp:
            self._fresh[path] = known
            return known[1]
        started = time.time_ns()
        value = file_digest(path)
        if found.st_ctime_ns < started - _GRAIN_NS:
            with self._lock:
                self._fresh[path] = (stamp, value)
                self._changed = True
        return value

    def save(self) -> None:
        """Remember what was seen this time; files not asked for are kept while they may come back."""
        with self._lock:
            if not self._changed:
                return
            kept = {**self._known, **self._fresh} if len(self._known) < 4 * len(self._fresh) + 1000 else self._fresh
            self._changed = False
        os.makedirs(os.path.dirname(self._place), exist_ok=True)
        write_atomic(self._place, json.dumps({path: [*stamp, value] for path, (stamp, value) in kept.items()}, separators=(",", ":")))


def file_digest(path: str) -> str:
    """The SHA-256 (hex) of a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        digest = hashlib.sha256()
        while piece := os.read(descriptor, _CHUNK):
            digest.update(piece)
        return digest.hexdigest()
    finally:
        os.close(descriptor)


def place(cache: str, tree: str) -> str:
    """Where the digests of a tree are kept."""
    return f"{cache}/contents/{hashlib.sha256(os.fsencode(tree)).hexdigest()[:32]}.json"


def _load(path: str) -> dict[str, tuple[Stamp, str]]:
    content = read_file(path)
    try:
        return {k: ((v[0], v[1], v[2], v[3]), v[4]) for k, v in json.loads(content or b"{}").items()}
    except (ValueError, LookupError, AttributeError, TypeError):
        return {}
