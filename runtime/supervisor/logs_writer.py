"""Keeping a container's output: splice(2) from its FIFOs into files, then a record in the index. In the supervisor's worker.

A splice moves bytes inside the kernel, so a killed worker has none of them in its memory: they are still in the FIFO or already in the file.
What is in a file but not in the index (killed between the two) is indexed when the log is opened again.
"""

from __future__ import annotations

import os
import time

from runtime.store import remove_file
from runtime.supervisor.logs_format import CUT, RECORD, RUN, STREAMS, Rotation, file_path, generations

CHUNK = 1 << 16  # at most this much per stream and turn: a flood must not starve the others
_POSTPONED = 4  # a generation may grow by a quarter more while it waits for a line to end


class LogWriter:
    """One container's log, open for writing; only one process at a time may hold one."""

    def __init__(self, directory: str, rotation: Rotation) -> None:
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.rotation = rotation
        self.ends = [0, 0]
        self._marked = [0, 0]  # how far the index knows of each stream
        self._flags = [0, 0]  # of the next record of each stream
        self._data = [-1, -1]
        self._indexed = 0
        self._index = -1
        found = generations(directory)
        self.generation = found[-1] if found else 0
        if found:
            self._recover()

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in (self._index, *self._data):
            if descriptor >= 0:
                os.close(descriptor)
        self._index, self._data = -1, [-1, -1]

    def begin_run(self) -> None:
        """What comes from here on is said by another process: it does not go on with a line that the one before left open."""
        self._flags = [RUN, RUN]

    def take(self, source: int, stream: int) -> int:
        """Move what is there, at most CHUNK bytes, from the non-blocking FIFO ``source``; how much it was. Raises OSError (ENOSPC …)."""
        try:
            moved = os.splice(source, self._data_file(stream), CHUNK, offset_dst=self.ends[stream], flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return 0
        self.ends[stream] += moved
        self._mark(stream, time.time_ns())
        return moved

    def read_back(self, stream: int, length: int) -> bytes:
        """The last ``length`` bytes of a stream, for those who listen live; call it before ``rotate``."""
        return os.pread(self._data[stream], length, self.ends[stream] - length)

    def rotate(self) -> None:
        """Begin a new generation when this one is full, at a line's end where possible, and delete what is too old."""
        used = sum(self.ends) + self._indexed
        limit = self.rotation.size
        if not limit or used < limit or (used < limit + limit // _POSTPONED and not all(map(self._ends_whole, range(len(STREAMS))))):
            return
        self._flags = [self._flags[s] & RUN or (0 if self._ends_whole(s) else CUT) for s in range(len(STREAMS))]
        self.close()
        self.generation += 1
        self.ends, self._marked, self._indexed = [0, 0], [0, 0], 0
        self._open_index()
        self.drop_oldest(self.rotation.files)

    def drop_oldest(self, keep: int) -> None:
        """Delete all generations but the newest ``keep``."""
        for generation in generations(self.directory)[:-keep]:
            for kind in (*STREAMS, "index"):
                remove_file(file_path(self.directory, kind, generation))

    def _mark(self, stream: int, when: int) -> None:
        """Index what a stream has got since its last record; after a failure (no space) the next record covers it too."""
        length = self.ends[stream] - self._marked[stream]
        if not length:
            return
        if os.write(self._index, RECORD.pack(when, self._marked[stream], length, stream, self._flags[stream])) != RECORD.size:
            os.ftruncate(self._index, self._indexed)
            return
        self._marked[stream], self._flags[stream] = self.ends[stream], 0
        self._indexed += RECORD.size

    def _ends_whole(self, stream: int) -> bool:
        """Whether a stream ends with a line's end, or is where the generation before was cut."""
        if not self.ends[stream]:
            return not self._flags[stream] & CUT
        return os.pread(self._data_file(stream), 1, self.ends[stream] - 1) == b"\n"

    def _open_index(self) -> None:
        if self._index < 0:
            path = file_path(self.directory, "index", self.generation)
            self._index = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _data_file(self, stream: int) -> int:
        """The stream's data file, made at its first byte, after the index that leads to it; never O_APPEND, which splice(2) refuses."""
        if self._data[stream] < 0:
            self._open_index()
            path = file_path(self.directory, STREAMS[stream], self.generation)
            self._data[stream] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._data[stream]

    def _recover(self) -> None:
        self._open_index()
        size = os.fstat(self._index).st_size
        self._indexed = size - size % RECORD.size
        if self._indexed != size:
            os.ftruncate(self._index, self._indexed)
        for stream, name in enumerate(STREAMS):
            self.ends[stream] = self._marked[stream] = self._indexed_end(stream)
            try:
                status = os.stat(file_path(self.directory, name, self.generation))
            except FileNotFoundError:
                continue
            self.ends[stream] = max(status.st_size, self.ends[stream])
            self._mark(stream, status.st_mtime_ns)

    def _indexed_end(self, stream: int) -> int:
        """The end of what the index knows of a stream, searched from the newest record back."""
        position = self._indexed
        while position:
            start = max(position - 4096 * RECORD.size, 0)
            block = os.pread(self._index, position - start, start)
            for at in range(len(block) - RECORD.size, -1, -RECORD.size):
                _, offset, length, of, _ = RECORD.unpack_from(block, at)
                if of == stream:
                    return int(offset + length)
            position = start
        return 0


class Discarded:
    """The log of driver ``none``: output is taken, so that nobody blocks, and thrown away."""

    def __init__(self) -> None:
        self._null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._null)

    def begin_run(self) -> None:
        """Like ``LogWriter.begin_run``."""

    def take(self, source: int, stream: int) -> int:
        """Like ``LogWriter.take``."""
        try:
            return os.splice(source, self._null, CHUNK, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return 0
