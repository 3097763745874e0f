"""A running container's standard streams: FIFOs and terminal, their way into the log, and those who are attached. In the supervisor's worker.

The FIFOs lie in ``<run>/projects/<project>/io/<id>/``. The container's side is opened for reading and writing, so writing never fails for
want of a reader; ours likewise, so there is never an end of file. The keeper holds a copy of each descriptor: what was written stays
readable when the worker dies and the container with it. A terminal's output takes the way over the stdout FIFO too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from runtime.sandbox import Stdio
from runtime.store import entries, remove_file
from runtime.supervisor.logs_format import STREAMS
from runtime.supervisor.logs_writer import CHUNK, Discarded, LogWriter
from runtime.supervisor.loop import READ, WRITE

if TYPE_CHECKING:
    from runtime.supervisor.services import Services

LONGEST_BACKLOG = 1 << 20  # an attached reader that lags this far behind holds the container up, as with Docker
_DRAIN_TURNS = 256
_RETRY = 1.0
STDIN, TERMINAL = "stdin", "terminal"


class Listener(Protocol):
    """Somebody attached."""

    def output(self, stream: int, data: bytes) -> None:
        """Take output."""

    def backlog(self) -> int:
        """Bytes taken but not sent on yet."""

    def pause(self) -> None:
        """Give no more input for now."""

    def resume(self) -> None:
        """Give input again."""

    def end(self) -> None:
        """The container is gone; send what is left, then hang up."""


class Streams:
    """The streams of one run of a container, from ``open`` or ``adopt`` to ``close``."""

    def __init__(self, services: Services, container_id: str, log: LogWriter | Discarded) -> None:
        self._services = services
        self._id = container_id
        self._directory = f"{services.paths.project_run(services.project)}/io/{container_id}"
        self.log = log
        self.descriptors: dict[str, int] = {}
        self.listeners: list[Listener] = []
        self.written: Callable[[], None] | None = None  # called after output was logged (forwarding drivers)
        self._input = bytearray()
        self._window = (0, 0)

    def open(self, *, tty: bool, stdin_open: bool) -> Stdio:
        """Make the FIFOs and return the container's side, for the caller to close after the launch (``close_side``)."""
        self.log.begin_run()
        remove_directory(self._directory)
        os.makedirs(self._directory, mode=0o700)
        names = [STREAMS[0]] if tty else list(STREAMS)
        for name in names:
            self._make(name)
        if tty:
            return Stdio(terminal=True, size=self._window)
        if stdin_open:
            self._make(STDIN)
        stdin = self._side(STDIN, os.O_RDONLY) if stdin_open else -1
        return Stdio(stdin, self._side(STREAMS[0], os.O_RDWR), self._side(STREAMS[1], os.O_RDWR))

    @staticmethod
    def close_side(stdio: Stdio) -> None:
        """Close the container's side in this process."""
        for descriptor in {stdio.stdin, stdio.stdout, stdio.stderr}:
            if descriptor >= 0:
                os.close(descriptor)

    def adopt(self) -> None:
        """Take up the streams of a container that an earlier worker started: from the keeper's holdings, or by path."""
        for name in (*STREAMS, STDIN, TERMINAL):
            held = self._services.keeping.held(f"{self._id}:{name}")
            if held is not None:
                self.descriptors[name] = held
            elif name != TERMINAL and os.path.exists(f"{self._directory}/{name}"):
                self._open(name)
        self._watch()

    def set_terminal(self, master: int) -> None:
        """The terminal's master end, known once the container was launched."""
        os.set_blocking(master, False)
        self._hold(TERMINAL, master)
        if self._window != (0, 0):
            self.resize(*self._window)

    def begin(self) -> None:
        """Start moving output."""
        self._watch()

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size (TIOCSWINSZ), now or once there is one."""
        self._window = (rows, columns)
        if TERMINAL in self.descriptors:
            fcntl.ioctl(self.descriptors[TERMINAL], termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def feed(self, listener: Listener, data: bytes) -> None:
        """Input from somebody attached; they are paused while the container does not read."""
        if STDIN in self.descriptors or TERMINAL in self.descriptors:
            self._input += data
            self._write_input(0)
            if self._input:
                listener.pause()

    def end_input(self) -> None:
        """Let the container read an end of file once it has read everything; a terminal has none."""
        descriptor = self.descriptors.get(STDIN)
        if descriptor is not None and not self._input:
            self._services.loop.forget(descriptor)
            self._services.keeping.drop(f"{self._id}:{STDIN}")
            del self.descriptors[STDIN]
        elif descriptor is not None:
            self._services.loop.after(0.05, self.end_input)

    def drain(self) -> None:
        """Move everything that is there; for when the container has ended."""
        for _ in range(_DRAIN_TURNS):
            moved = self._terminal_turn(0) if TERMINAL in self.descriptors else 0
            for stream, name in enumerate(STREAMS):
                if name in self.descriptors:
                    moved += self._turn(stream)
            if not moved:
                return

    def close(self) -> None:
        """Hang up on the attached, give all descriptors back and remove the FIFOs."""
        for name, descriptor in self.descriptors.items():
            self._services.loop.forget(descriptor)
            self._services.keeping.drop(f"{self._id}:{name}")
        self.descriptors.clear()
        for listener in self.listeners[:]:
            listener.end()
        self.listeners.clear()
        self.log.close()
        remove_directory(self._directory)

    def continue_output(self) -> None:
        """Somebody attached has caught up."""
        self._watch()

    def _make(self, name: str) -> None:
        os.mkfifo(f"{self._directory}/{name}", 0o600)
        os.chmod(f"{self._directory}/{name}", 0o666)  # any user in the container may open /dev/stdout again; nobody else gets here
        self._open(name)

    def _open(self, name: str) -> None:
        self._hold(name, os.open(f"{self._directory}/{name}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))

    def _side(self, name: str, flags: int) -> int:
        return os.open(f"{self._directory}/{name}", flags | os.O_CLOEXEC)

    def _hold(self, name: str, descriptor: int) -> None:
        self.descriptors[name] = descriptor
        self._services.keeping.hold(f"{self._id}:{name}", descriptor)

    def _watch(self) -> None:
        for stream, name in enumerate(STREAMS):
            if name in self.descriptors:
                self._services.loop.watch(self.descriptors[name], lambda _, stream=stream: self._turn(stream))  # type: ignore[misc]
        if TERMINAL in self.descriptors:
            self._services.loop.watch(self.descriptors[TERMINAL], self._terminal_turn)

    def _turn(self, stream: int) -> int:
        """Move one chunk from a FIFO into the log and to the attached."""
        source = self.descriptors[STREAMS[stream]]
        try:
            moved = self._take(source, stream)
        except OSError:  # no room: make some, then wait; the container waits too, and nothing is lost
            self._hold_up(source)
            if isinstance(self.log, LogWriter):
                self.log.drop_oldest(1)
            self._services.loop.after(_RETRY, self._watch)
            return 0
        if any(listener.backlog() > LONGEST_BACKLOG for listener in self.listeners):
            self._hold_up(source)
        return moved

    def _hold_up(self, source: int) -> None:
        """Take nothing more from a FIFO, nor from the terminal that fills it."""
        self._services.loop.forget(source)
        self._services.loop.forget(self.descriptors.get(TERMINAL, -1))

    def _take(self, source: int, stream: int) -> int:
        if isinstance(self.log, Discarded) and self.listeners:
            try:
                data = os.read(source, CHUNK)
            except BlockingIOError:
                return 0
            self._tell(stream, data)
            return len(data)
        moved = self.log.take(source, stream)
        if moved and isinstance(self.log, LogWriter):
            if self.listeners:
                self._tell(stream, self.log.read_back(stream, moved))
            if self.written is not None:
                self.written()
            self.log.rotate()
        return moved

    def _tell(self, stream: int, data: bytes) -> None:
        for listener in self.listeners[:]:  # one who turns out to be gone leaves the list
            listener.output(stream, data)

    def _terminal_turn(self, events: int) -> int:
        """Move terminal output into the FIFO; at EIO every process has closed the terminal, and reading ends."""
        master = self.descriptors[TERMINAL]
        if events & WRITE:
            self._write_input(0)
        try:
            return os.splice(master, self.descriptors[STREAMS[0]], CHUNK, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return 0
        except OSError:
            self._services.loop.forget(master)
            return 0

    def _write_input(self, _: int) -> None:
        descriptor = self.descriptors.get(TERMINAL, self.descriptors.get(STDIN, -1))
        with contextlib.suppress(BlockingIOError):
            while self._input and descriptor >= 0:
                del self._input[: os.write(descriptor, self._input[:CHUNK])]
        self._watch_input(descriptor)

    def _watch_input(self, descriptor: int) -> None:
        loop = self._services.loop
        if TERMINAL in self.descriptors:
            loop.watch(descriptor, self._terminal_turn, READ | WRITE if self._input else READ)
        elif self._input:
            loop.watch(descriptor, self._write_input, WRITE)
        else:
            loop.forget(descriptor)
        if not self._input:
            for listener in self.listeners[:]:
                listener.resume()


def remove_directory(path: str) -> None:
    """Remove a directory of FIFOs and files; already gone is success. (shutil would cost every supervisor a megabyte.)"""
    for name in entries(path):
        remove_file(f"{path}/{name}")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)
