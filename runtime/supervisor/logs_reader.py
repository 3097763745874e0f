"""Reading a container's log, running or not, while it is written and rotated. In any process; stdlib only.

A ``LogReader`` stands somewhere in the log and goes forward; lines of both streams come in the order of their arrival. ``read`` is the
whole of ``logs`` without following; ``logs_follow`` waits for more.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator

from runtime.supervisor.logs_format import CUT, RECORD, RUN, STREAMS, LogLine, file_path, generations

LONGEST_PIECE = 1 << 16  # a line longer than this comes in partial pieces
_WINDOW = 1 << 18
_RECORDS = 4096
_BACKWARD = 256
_LOOK_BACK = 1 << 16

Record = tuple[int, int, int, int, int]  # time, offset, length, stream, flags


def read(directory: str, *, since: int = 0, until: int | None = None, tail: int | None = None) -> Iterator[LogLine]:
    """The lines from ``since`` to ``until`` (ns since the epoch), or the last ``tail`` of them; a last line without newline is one."""
    reader = LogReader(directory)
    if tail is not None and until is None:
        reader.seek_tail(tail)
    elif since:
        reader.seek_time(since)
    chosen = _between(reader, since, until)
    return chosen if tail is None else iter(deque(chosen, maxlen=tail))


def _between(reader: LogReader, since: int, until: int | None) -> Iterator[LogLine]:
    for source in (reader.lines, reader.rest):
        for found in source():
            if until is not None and found.time_ns > until:
                return
            if found.time_ns >= since:
                yield found


class _Generation:
    """The open files of one generation; what is deleted meanwhile stays readable."""

    def __init__(self, directory: str, number: int) -> None:
        self.number = number
        self._directory = directory
        self._index = os.open(file_path(directory, "index", number), os.O_RDONLY | os.O_CLOEXEC)
        self._data = [-1, -1]
        self._windows: list[tuple[int, bytes]] = [(0, b""), (0, b"")]

    def close(self) -> None:
        for descriptor in (self._index, *self._data):
            if descriptor >= 0:
                os.close(descriptor)

    def count(self) -> int:
        return os.fstat(self._index).st_size // RECORD.size

    def records(self, first: int, count: int) -> list[Record]:
        block = os.pread(self._index, count * RECORD.size, first * RECORD.size)
        return list(RECORD.iter_unpack(block[: len(block) - len(block) % RECORD.size]))

    def bytes_at(self, stream: int, offset: int, length: int) -> bytes:
        """Bytes of a stream, read ahead in windows: most records are short and follow each other."""
        start, window = self._windows[stream]
        if not start <= offset <= offset + length <= start + len(window):
            start, window = offset, self.exactly(stream, offset, max(length, _WINDOW))
            self._windows[stream] = (start, window)
        return window[offset - start : offset - start + length]

    def exactly(self, stream: int, offset: int, length: int) -> bytes:
        """Bytes of a stream, no more read than asked for."""
        if self._data[stream] < 0:
            path = file_path(self._directory, STREAMS[stream], self.number)
            self._data[stream] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._data[stream], length, offset)

    def before(self, stream: int, offset: int) -> tuple[bytes, bool]:
        """The beginning of the line that ``offset`` is in the middle of, and whether it is all of it (False: it began in the generation before)."""
        start = max(offset - _LOOK_BACK, 0)
        found = self.exactly(stream, start, offset - start) if offset else b""
        return found[found.rfind(b"\n") + 1 :], start > 0 or b"\n" in found

    def end(self, stream: int) -> int:
        """The size of a stream's data in bytes."""
        try:
            return os.stat(file_path(self._directory, STREAMS[stream], self.number)).st_size
        except FileNotFoundError:
            return 0


class LogReader:
    """A place in a log: ``lines`` gives what is complete from there to the present end, ``rest`` what has no newline yet."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._generation: _Generation | None = None
        self._next = 0
        self._pending: list[tuple[int, bytes]] = [(0, b""), (0, b"")]
        self._jumped = True  # whether the place was not reached by reading the generation before
        self._skipping = [False, False]

    def close(self) -> None:
        """Give the descriptors back; the place is kept only as long as its generation is."""
        if self._generation is not None:
            self._generation.close()
            self._generation = None

    def lines(self) -> Iterator[LogLine]:
        """Every line completed between the place and the present end, going there; a very long line in ``partial`` pieces."""
        while (generation := self._current()) is not None:
            newer = [g for g in generations(self.directory) if g > generation.number]
            yield from self._generation_lines(generation)
            if not newer:
                return
            following = newer[0] == generation.number + 1
            self._jumped = not (self._enter(newer[0]) and following)
            if self._jumped:
                self._pending = [(0, b""), (0, b"")]

    def rest(self) -> Iterator[LogLine]:
        """What the streams hold after their last newline, forgetting it; for when nothing more will come."""
        for stream, (when, text) in sorted(enumerate(self._pending), key=lambda p: p[1][0]):
            if text:
                self._pending[stream] = (0, b"")
                yield LogLine(when, STREAMS[stream], text, partial=True)

    def seek_tail(self, count: int) -> None:
        """Go to where at least the last ``count`` lines lie ahead; 0 goes to the end."""
        wanted = count + len(STREAMS)  # one line per stream may be cut by where we stop
        for number in reversed(generations(self.directory)):
            if not self._enter(number) or self._generation is None:
                continue
            self._next = self._generation.count()
            if count == 0:
                return
            wanted = self._step_back(self._generation, wanted)
            if wanted <= 0:
                break
        self._align()

    def _step_back(self, generation: _Generation, wanted: int) -> int:
        """Go back over records until ``wanted`` newlines lie ahead, or to the generation's beginning; how many are still wanted."""
        while self._next and wanted > 0:
            first = max(self._next - _BACKWARD, 0)
            for _, offset, length, stream, _ in reversed(generation.records(first, self._next - first)):
                self._next -= 1
                wanted -= generation.exactly(stream, offset, length).count(b"\n")
                if wanted <= 0:
                    break
        return wanted

    def seek_time(self, since: int) -> None:
        """Go to the first arrival at or after ``since`` (ns), with the beginnings of the lines it completes."""
        for number in generations(self.directory):
            if self._enter(number) and self._generation is not None:
                self._next = self._first_at(self._generation, since)
                if self._next < self._generation.count():
                    break
        self._align()

    @staticmethod
    def _first_at(generation: _Generation, since: int) -> int:
        low, high = 0, generation.count()
        while low < high:
            middle = (low + high) // 2
            if generation.records(middle, 1)[0][0] < since:
                low = middle + 1
            else:
                high = middle
        return low

    def _align(self) -> None:
        """Fetch the beginnings of the lines that the place cuts."""
        self._pending = [(0, b""), (0, b"")]
        generation = self._generation
        if generation is None:
            return
        self._jumped = generation.number - 1 not in generations(self.directory)
        for stream in range(len(STREAMS)):
            self._pending[stream] = (0, self._beginning(generation, stream, self._offset_of(generation, stream)))

    def _beginning(self, generation: _Generation, stream: int, offset: int) -> bytes:
        """The beginning of a stream's line, from the generations before too."""
        found, whole = generation.before(stream, offset)
        if whole:
            return found
        try:
            earlier = _Generation(self.directory, generation.number - 1)
        except FileNotFoundError:
            return found
        try:
            return self._beginning(earlier, stream, earlier.end(stream)) + found
        finally:
            earlier.close()

    def _offset_of(self, generation: _Generation, stream: int) -> int:
        """Where in a stream the place is: the end of its nearest record before."""
        position = self._next
        while position:
            first = max(position - _RECORDS, 0)
            for _, offset, length, of, _ in reversed(generation.records(first, position - first)):
                if of == stream:
                    return offset + length
            position = first
        return 0

    def _current(self) -> _Generation | None:
        if self._generation is None:
            for number in generations(self.directory):
                if self._enter(number):
                    break
        return self._generation

    def _enter(self, number: int) -> bool:
        self.close()
        try:
            self._generation = _Generation(self.directory, number)
        except FileNotFoundError:
            return False
        self._next = 0
        return True

    def _generation_lines(self, generation: _Generation) -> Iterator[LogLine]:
        while records := generation.records(self._next, _RECORDS):
            for when, offset, length, stream, flags in records:
                self._next += 1
                data = generation.bytes_at(stream, offset, length)
                if flags & RUN:
                    yield from self._break(stream)
                elif flags & CUT and self._jumped:
                    self._skipping[stream] = True
                yield from self._split(when, stream, self._skip(stream, data))

    def _break(self, stream: int) -> Iterator[LogLine]:
        """The line that a run left open ends where the next begins; the beginning of one that lies before our place is nobody's."""
        when, text = self._pending[stream]
        self._pending[stream], self._skipping[stream] = (0, b""), False
        if text and when:
            yield LogLine(when, STREAMS[stream], text)

    def _skip(self, stream: int, data: bytes) -> bytes:
        """What is left of ``data`` behind the rest of a line whose beginning is gone."""
        if not self._skipping[stream]:
            return data
        _, newline, rest = data.partition(b"\n")
        self._skipping[stream] = not newline
        return rest

    def _split(self, when: int, stream: int, data: bytes) -> Iterator[LogLine]:
        name = STREAMS[stream]
        first, *others = data.split(b"\n")
        pending = self._pending[stream][1] + first
        for following in others:
            yield LogLine(when, name, pending)
            pending = following
        while len(pending) >= LONGEST_PIECE:
            yield LogLine(when, name, pending[:LONGEST_PIECE], partial=True)
            pending = pending[LONGEST_PIECE:]
        self._pending[stream] = (when, pending)
