"""The keeper: the worker's parent, which outlives it, adopts the containers, holds their descriptors, and starts the next worker. In a process of its own.

It imports everything before it forks, so that the worker shares its pages and the next worker is there within milliseconds. When the
keeper itself is killed, the worker notices the closed channel, forks, and becomes the keeper of its own child (``take_over``).
An exit is written to ``<run>/projects/<project>/exits`` before it is reaped: no exit code is lost while one of the two lives.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import NoReturn

from runtime.native import syscalls
from runtime.store import Paths, remove_file

EXIT = struct.Struct("=ii")
_LONGEST_MESSAGE = 4096
_LONGEST_EXITS = 1 << 20
_SHORTEST_LIFE = 1.0


@dataclass(slots=True, kw_only=True)
class Estate:
    """What a supervisor consists of beside its processes: whose it is, its lock and socket, and the descriptors held for containers."""

    project: str
    paths: Paths
    lock: int
    listener: int
    holdings: dict[str, int] = field(default_factory=dict)

    @property
    def exits(self) -> str:
        """The file of exits: lines of pid, start time (clock ticks), wait status and end (ns)."""
        return f"{self.paths.project_run(self.project)}/exits"


def main(arguments: list[str]) -> NoReturn:
    """Keep the project named on the command line until its worker says that nothing is left to do."""
    from runtime.supervisor import preparation

    preparation.prepare_process()
    project, root, run, lock, listener = arguments
    for inherited in (lock, listener):
        os.set_inheritable(int(inherited), False)
    Keeper(Estate(project=project, paths=Paths(root, run), lock=int(lock), listener=int(listener))).keep()


def take_over(estate: Estate, channel: socket.socket, worker: int) -> NoReturn:
    """Go on as the keeper of ``worker``, in the process that was the worker until its keeper died."""
    kept = {0, 1, 2, estate.lock, estate.listener, channel.fileno(), *estate.holdings.values()}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:  # the directory's own
                continue
    keeper = Keeper(estate)
    keeper.adopt(channel, worker)
    keeper.keep()


class Keeper:
    """Waits for two things: word from the worker, and ended children."""

    def __init__(self, estate: Estate) -> None:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self.estate = estate
        self._channel: socket.socket | None = None
        self._worker = 0
        self._born = 0.0
        self._delay = 0.0
        self._leaving = False
        self._wake, self._ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)

    def adopt(self, channel: socket.socket, worker: int) -> None:
        """Take a worker that lives already."""
        self._channel, self._worker, self._born = channel, worker, time.monotonic()

    def keep(self) -> NoReturn:
        """Until the worker leaves in good order; ends the process."""
        while not (self._leaving and self._worker == 0):
            if self._worker == 0:
                self._start_worker()
            self._wait()
            self._hear()
            self._reap()
        self._clear()
        os._exit(0)

    def _clear(self) -> None:
        """Leave nothing behind; who waits for the lock notices that the file is another one by now (``client``)."""
        run = self.estate.paths.project_run(self.estate.project)
        with contextlib.suppress(OSError):
            for name in ("exits", "supervisor.lock"):
                remove_file(f"{run}/{name}")
            os.rmdir(run)

    def _start_worker(self) -> None:
        if self._delay:
            time.sleep(self._delay)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            self._be_worker(ours, theirs)
        theirs.close()
        ours.setblocking(False)
        self.adopt(ours, pid)

    def _be_worker(self, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        from runtime.supervisor import loop, worker

        status = 1
        try:
            ours.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._wake)
            os.close(self._ring)
            worker.serve(self.estate, theirs)
            status = 0
        except BaseException:
            loop.report_trouble()
        os._exit(status)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if self._channel is not None:
            poll.register(self._channel, select.POLLIN)
        poll.poll()
        try:
            while os.read(self._wake, 512):
                pass
        except BlockingIOError:
            return

    def _hear(self) -> None:
        """Take everything the worker said, even if it is dead by now: what it gave us to hold must not be lost."""
        while self._channel is not None:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._channel, _LONGEST_MESSAGE, 1)
            except BlockingIOError:
                return
            except ConnectionError:
                message, descriptors = b"", []
            if not message:
                self._channel.close()
                self._channel = None
                return
            self._obey(message.decode(), descriptors)

    def _obey(self, message: str, descriptors: list[int]) -> None:
        verb, _, name = message.partition(" ")
        if verb == "leave":
            self._leaving = True
            return
        previous = self.estate.holdings.pop(name, None)
        if previous is not None:
            os.close(previous)
        if verb == "hold" and descriptors:
            os.set_inheritable(descriptors[0], False)
            self.estate.holdings[name] = descriptors[0]

    def _reap(self) -> None:
        while (ended := self._peek()) is not None:
            pid, status = ended
            if pid == self._worker:
                self._hear()
                self._bury_worker()
            else:
                self._note_exit(pid, status)
            os.waitpid(pid, 0)
            self._tell(pid, status)

    @staticmethod
    def _peek() -> tuple[int, int] | None:
        """An ended child that is left a zombie, as (pid, wait status)."""
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None
        return None if info is None else (info.si_pid, wait_status(info))

    def _bury_worker(self) -> None:
        lived = time.monotonic() - self._born
        self._delay = 0.0 if lived >= _SHORTEST_LIFE else min(max(self._delay * 2, 0.005), 1.0)
        self._worker = 0
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _note_exit(self, pid: int, status: int) -> None:
        record = f"{pid} {start_time(pid)} {status} {time.time_ns()}\n".encode()
        try:
            descriptor = os.open(self.estate.exits, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(descriptor).st_size > _LONGEST_EXITS:
                    os.ftruncate(descriptor, 0)
                os.write(descriptor, record)
            finally:
                os.close(descriptor)
        except OSError as error:
            sys.stderr.write(f"{self.estate.exits}: {error}\n")

    def _tell(self, pid: int, status: int) -> None:
        if self._channel is not None:
            try:
                self._channel.send(EXIT.pack(pid, status))
            except OSError:  # full or closed: the worker reads the file, or asks the pidfd
                return


def wait_status(info: os.waitid_result) -> int:
    """The wait(2) status that waitid(2) took apart."""
    if info.si_code == os.CLD_EXITED:
        return int(info.si_status) << 8
    return int(info.si_status) | (0x80 if info.si_code == os.CLD_DUMPED else 0)


def start_time(pid: int) -> int:
    """Field 22 of /proc/<pid>/stat (clock ticks since boot), 0 when there is no such process; works for zombies."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return 0
    return int(text[text.rindex(b")") + 2 :].split()[19])
