"""Following many logs at once with one inotify(7) descriptor. In the commands that show logs; stdlib only.

Use: ``add`` containers, then ``ready()`` gives what there is, ``wait()`` (or poll(2) on ``fileno()``) sleeps until there may be more.
"""

from __future__ import annotations

import os
import select
import struct
from collections import deque
from collections.abc import Iterator

from runtime.errors import KernelError
from runtime.native import syscalls
from runtime.supervisor.logs_format import LogLine
from runtime.supervisor.logs_reader import LogReader

_EVENT = struct.Struct("iIII")
_WATCHED = syscalls.IN_MODIFY | syscalls.IN_CREATE


class LogFollower:
    """Readers that wake up when something is written. A container that has ended is ``finish``ed by its caller, who knows its state."""

    def __init__(self) -> None:
        self._notify = syscalls.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._readers: dict[str, LogReader] = {}
        self._watches: dict[int, str] = {}
        self._first: dict[str, tuple[int | None, int]] = {}
        self._stirred: set[str] = set()

    def fileno(self) -> int:
        """Readable when ``ready`` may have lines."""
        return self._notify

    def close(self) -> None:
        """Give the descriptors back."""
        for reader in self._readers.values():
            reader.close()
        os.close(self._notify)

    def add(self, key: str, directory: str, *, tail: int | None = None, since: int = 0) -> None:
        """Follow the log in ``directory`` (``<container>/logs``, which must exist), from its last ``tail`` lines or from ``since`` (ns) on."""
        self._watches[syscalls.inotify_add_watch(self._notify, directory, _WATCHED)] = key
        reader = self._readers[key] = LogReader(directory)
        if tail is not None:
            reader.seek_tail(tail)
        elif since:
            reader.seek_time(since)
        self._first[key] = (tail, since)
        self._stirred.add(key)

    def ready(self) -> Iterator[tuple[str, LogLine]]:
        """The lines that have come since the last time, by container."""
        self._drain()
        stirred, self._stirred = self._stirred, set()
        for key in sorted(stirred & self._readers.keys()):
            yield from ((key, line) for line in self._lines(key))

    def finish(self, key: str) -> Iterator[tuple[str, LogLine]]:
        """The last lines of a container that has ended, one without a newline too; it is followed no more."""
        reader = self._readers.pop(key, None)
        if reader is None:
            return
        for watch in [w for w, k in self._watches.items() if k == key]:
            del self._watches[watch]
            try:
                syscalls.inotify_rm_watch(self._notify, watch)
            except KernelError:  # the directory is gone, and its watch with it
                continue
        for source in (reader.lines, reader.rest):
            yield from ((key, line) for line in source())
        reader.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something is written, at most ``timeout`` seconds; whether it was."""
        poll = select.poll()
        poll.register(self._notify, select.POLLIN)
        return bool(self._stirred or poll.poll(None if timeout is None else timeout * 1000))

    def _lines(self, key: str) -> Iterator[LogLine]:
        reader = self._readers[key]
        if key not in self._first:
            return reader.lines()
        tail, since = self._first.pop(key)
        chosen = (found for found in reader.lines() if found.time_ns >= since)
        return chosen if tail is None else iter(deque(chosen, maxlen=tail))

    def _drain(self) -> None:
        while True:
            try:
                data = os.read(self._notify, 1 << 16)
            except BlockingIOError:
                return
            position = 0
            while position < len(data):
                watch, _, _, length = _EVENT.unpack_from(data, position)
                position += _EVENT.size + length
                self._stirred.update([self._watches[watch]] if watch in self._watches else self._watches.values() if watch == -1 else ())
