"""Talking to a project's supervisor: starting it when it is not there, calls, event streams, attached streams. In any process; cheap to import.

Starting is quick because nothing is waited for: the caller takes the supervisor's lock, binds its socket, and hands both to the new process.
Calls made meanwhile wait in the socket's backlog.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from runtime.errors import RuntimeFailure
from runtime.store import Paths, read_file
from runtime.supervisor import spawn
from runtime.supervisor.protocol import failure_from, line

_PATIENCE = 10.0
_ATTEMPTS = 12  # over some three seconds
_BACKLOG = 1024
_LONGEST_LINE = 16 << 20


def ensure(project: str, paths: Paths) -> None:
    """Start the project's supervisor unless one answers. Safe to call from many threads and processes at once. Raises RuntimeFailure."""
    directory = paths.project_run(project)
    os.makedirs(directory, exist_ok=True)
    deadline = time.monotonic() + _PATIENCE
    pause = 0.001
    while not is_answering(project, paths):
        lock = _claim(directory)
        if lock is not None:
            try:
                with _listen(directory) as listener:
                    spawn.start(project, paths, lock, listener)
            finally:
                os.close(lock)
            return
        if time.monotonic() > deadline:
            raise RuntimeFailure(
                f"the supervisor of project {project} holds its lock but does not answer",
                hint=f"find it with: fuser {directory}/supervisor.lock, end it, and try again: containers go on",
            )
        time.sleep(pause)  # another process is starting or leaving; flock(2) knows no time limit
        pause = min(pause * 2, 0.05)


def is_answering(project: str, paths: Paths) -> bool:
    """Whether a supervisor listens."""
    try:
        _connect(paths.project_run(project)).close()
    except OSError:
        return False
    return True


def dismiss(project: str, paths: Paths) -> None:
    """Tell a supervisor that has nothing to do to leave now rather than in a while; none there is success."""
    with contextlib.suppress(OSError), _connect(paths.project_run(project)) as connection:
        connection.settimeout(_PATIENCE)
        connection.sendall(line({"method": "shutdown"}))
        connection.recv(1 << 16)


def dial(project: str, paths: Paths) -> socket.socket:
    """A connection to the project's supervisor, started when there is none. Raises OSError when it died just now: dial again."""
    directory = paths.project_run(project)
    try:
        return _connect(directory)
    except OSError:
        ensure(project, paths)
    return _connect(directory)


class Client:
    """One connection, made at the first call. When the supervisor dies under a call, the call is made again to its successor:
    every method can be repeated."""

    def __init__(self, project: str, paths: Paths) -> None:
        self.project = project
        self.paths = paths
        self._connection: socket.socket | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._rest = b""

    def call(self, method: str, **arguments: object) -> dict[str, Any]:
        """Call and wait for the answer. Raises what the supervisor raised."""
        request = line({"method": method, **arguments})
        for attempt in range(_ATTEMPTS):
            try:
                self._open().sendall(request)
                answer = self._read_line()
            except ConnectionError:
                self.close()
                time.sleep(min(0.01 * 2**attempt, 0.4))  # a successor is on its way; ensure() waits for what it can see
                continue
            if "error" in answer:
                raise failure_from(answer["error"])
            return dict(answer.get("result") or {})
        raise self._gone()

    def subscribe(self, ids: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """Events as they happen, of all the project's containers or of ``ids``, until the supervisor leaves because nothing is left to do.

        When it is killed, its successor is asked, and what happened meanwhile is read from the file of events.
        """
        began = time.time_ns()
        told: set[tuple[object, ...]] = set()
        while True:
            self.call("subscribe", ids=ids)
            missed = [e for e in self._recorded(began) if ids is None or e["id"] in ids] if told else []
            try:
                for event in itertools.chain(missed, self._events()):
                    identity = (event["time"], event["action"], event["id"])
                    if identity not in told:
                        told.add(identity)
                        yield event
            except ConnectionError:
                self.close()
                if not is_answering(self.project, self.paths):
                    return
                told.add(())  # from here on there may be something missed

    def _events(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self._read_line()

    def _recorded(self, since: int) -> Iterator[dict[str, Any]]:
        text = read_file(f"{self.paths.project(self.project)}/events.jsonl") or b""
        events = (json.loads(row) for row in text.splitlines() if row.endswith(b"}"))
        return (e for e in events if e["time"] >= since)

    def attach(self, container: str, *, stdin_once: bool = False) -> Attachment:
        """Join a container's streams, started or yet to be started. ``stdin_once``: the end of what is sent is the end of its standard input."""
        answer = self.call("attach", id=container, stdin_once=stdin_once)
        connection, self._connection = self._open(), None
        attachment = Attachment(connection, self._rest, terminal=bool(answer.get("terminal")))
        self._rest = b""
        return attachment

    def _open(self) -> socket.socket:
        if self._connection is None:
            ensure(self.project, self.paths)
            try:
                self._connection = _connect(self.paths.project_run(self.project))
            except OSError as error:
                raise ConnectionResetError from error
        return self._connection

    def _read_line(self) -> dict[str, Any]:
        connection = self._open()
        while b"\n" not in self._rest:
            received = connection.recv(1 << 16)
            if not received or len(self._rest) > _LONGEST_LINE:
                raise ConnectionResetError
            self._rest += received
        first, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(first))

    def _gone(self) -> RuntimeFailure:
        log = f"{self.paths.project_run(self.project)}/supervisor.log"
        last = (read_file(log) or b"").decode(errors="replace").strip().splitlines()[-1:]
        detail = f": {last[0]}" if last else ""
        return RuntimeFailure(f"the supervisor of project {self.project} does not stay up{detail}", hint=f"see {log}")


class Attachment:
    """A container's streams: what is sent is its input, what comes is its output. ``fileno()`` is for poll(2)."""

    def __init__(self, connection: socket.socket, received: bytes, *, terminal: bool) -> None:
        self.terminal = terminal
        self._connection = connection
        self._received = received

    def fileno(self) -> int:
        """Readable when ``receive`` has something, or the end."""
        return self._connection.fileno()

    def send(self, data: bytes) -> None:
        """Give the container input; waits while it does not read."""
        self._connection.sendall(data)

    def close_stdin(self) -> None:
        """No more input (end of file for the container when attached with ``stdin_once``); output goes on."""
        self._connection.shutdown(socket.SHUT_WR)

    def receive(self) -> list[tuple[str, bytes]] | None:
        """What has come, as ("stdout" | "stderr", bytes) in order; waits for something; None at the container's end."""
        while not (pieces := self._pieces()):
            try:
                data = self._connection.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._received += data
        return pieces

    def close(self) -> None:
        """Detach; the container goes on."""
        self._connection.close()

    def _pieces(self) -> list[tuple[str, bytes]]:
        if self.terminal:
            data, self._received = self._received, b""
            return [("stdout", data)] if data else []
        pieces = []
        while len(self._received) >= 5:
            length = int.from_bytes(self._received[1:5], "big")
            if len(self._received) < 5 + length:
                break
            pieces.append(("stderr" if self._received[0] == 2 else "stdout", self._received[5 : 5 + length]))
            self._received = self._received[5 + length :]
        return pieces


def _connect(directory: str) -> socket.socket:
    """A connection to the socket in ``directory``, by way of a descriptor: sun_path holds 107 bytes, directories may be deeper."""
    at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{at}/supervisor.sock")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(at)
    return connection


def _claim(directory: str) -> int | None:
    """The supervisor's lock, or None while somebody has it."""
    path = f"{directory}/supervisor.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except OSError:  # held, or the file was deleted meanwhile
        os.close(descriptor)
        return None
    os.close(descriptor)
    return None


def _listen(directory: str) -> socket.socket:
    """A listening socket that appears under its name when it listens."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    fresh = f"{directory}/supervisor.sock.new"
    try:
        if os.path.lexists(fresh):
            os.unlink(fresh)
        listener.bind(f"/proc/self/fd/{at}/supervisor.sock.new")
        os.chmod(fresh, 0o600)
        listener.listen(_BACKLOG)
        os.rename(fresh, f"{directory}/supervisor.sock")
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(at)
    return listener
