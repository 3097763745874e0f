"""The keepers: two processes above the worker that outlive it, adopt the containers, hold their descriptors, and start what died anew.

guard → keeper → worker: each is the parent of the next, and everything is imported before the first fork, so that the three share their
pages and a new worker is there within milliseconds. Whoever loses the one *above* forks and moves up itself, its child going on in its
place; whoever loses the one *below* starts a new one. So any two may be killed at once, and nothing that a container says is lost: its
FIFOs stay open. An exit is written to ``<run>/projects/<project>/exits`` before it is reaped.

The lower end of the guard's channel is held by keeper and worker both: its end of file says that both are dead. A lock (``worker.lock``)
sees to it that there are never two workers.
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
from dataclasses import field
from typing import NoReturn

from runtime.native import syscalls
from runtime.native.title import set_title
from runtime.record import dataclass
from runtime.store import Paths, remove_file

EXIT = struct.Struct("=ii")
_LONGEST_MESSAGE = 4096
_LONGEST_EXITS = 1 << 20
_SHORTEST_LIFE = 1.0


@dataclass(slots=True, kw_only=True)
class Estate:
    """What a supervisor consists of beside its processes: whose it is, its lock and socket, the lower end of the guard's channel, and the
    descriptors held for containers."""

    project: str
    paths: Paths
    lock: int
    listener: int
    guard: int = -1
    holdings: dict[str, int] = field(default_factory=dict)

    @property
    def exits(self) -> str:
        """The file of exits: lines of pid, start time (clock ticks), wait status and end (ns)."""
        return f"{self.paths.project_run(self.project)}/exits"

    def show(self, role: str) -> None:
        """Let ps(1) tell who this process is."""
        shown = "keeper (guard)" if role == "guard" else role
        set_title(f"pycompose {shown} of {self.project} ({self.paths.run})", role)


def main(channel: int) -> NoReturn:
    """Import everything, wait for the order, and keep that project until its worker says that nothing is left to do."""
    from runtime.supervisor import preparation, spawn

    preparation.prepare_process()
    (project, root, run), (lock, listener, log) = spawn.await_order(channel)
    os.dup2(log, 2)
    os.close(log)
    Keeper(Estate(project=project, paths=Paths(root, run), lock=lock, listener=listener), None).keep()


def take_over(estate: Estate, channel: socket.socket, worker: int) -> NoReturn:
    """Go on as the keeper of ``worker``, in the process that was the worker until its keeper died."""
    kept = {0, 1, 2, estate.lock, estate.listener, estate.guard, channel.fileno(), *estate.holdings.values()}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:  # the directory's own
                continue
    keeper = Keeper(estate, socket.socket(fileno=estate.guard))
    keeper.adopt(channel, worker)
    keeper.repeat_holdings()
    keeper.keep()


class Keeper:
    """Waits for words from below and above, and for ended children. The guard is the keeper that has nobody above."""

    def __init__(self, estate: Estate, above: socket.socket | None) -> None:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self.estate = estate
        self._above = above
        self._below: socket.socket | None = None
        self._ward = 0
        self._born = 0.0
        self._delay = 0.0
        self._leaving = False
        self._wake, self._ring = -1, -1
        self._settle()

    def _settle(self) -> None:
        """Take up a role: the alarm clock of this process, and its title."""
        for descriptor in (self._wake, self._ring):
            if descriptor >= 0:
                os.close(descriptor)
        self._wake, self._ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)
        self.estate.guard = -1 if self._above is None else self._above.fileno()
        self.estate.show("guard" if self._above is None else "keeper")

    def adopt(self, channel: socket.socket, ward: int) -> None:
        """Take the one below, which lives already."""
        channel.setblocking(False)
        self._below, self._ward, self._born = channel, ward, time.monotonic()

    def repeat_holdings(self) -> None:
        """Tell the one above everything that is held: the keeper before may have died before it could."""
        self._tell_above("reset")
        for name, descriptor in self.estate.holdings.items():
            self._tell_above(f"hold {name}", [descriptor])

    def keep(self) -> NoReturn:
        """Until the worker leaves in good order; ends the process."""
        while self._below is not None or not self._leaving:
            if self._below is None:
                self._start_ward()
            self._wait()
            self._hear_below()
            self._hear_above()
            self._reap()
        if self._above is None:
            self._clear()
        os._exit(0)

    def _clear(self) -> None:
        """Leave nothing behind; who waits for the lock notices that the file is another one by now (``client``)."""
        run = self.estate.paths.project_run(self.estate.project)
        with contextlib.suppress(OSError):
            for name in ("exits", "worker.lock", "supervisor.lock"):
                remove_file(f"{run}/{name}")
            os.rmdir(run)

    def _start_ward(self) -> None:
        if self._delay:
            time.sleep(self._delay)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid:
            theirs.close()
            self.adopt(ours, pid)
            return
        ours.close()
        os.close(self._wake)
        os.close(self._ring)
        if self._above is None:
            Keeper(self.estate, theirs).keep()
        self._be_worker(theirs)

    def _be_worker(self, channel: socket.socket) -> NoReturn:
        from runtime.supervisor import loop, worker

        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            worker.serve(self.estate, channel)
            status = 0
        except BaseException:
            loop.report_trouble()
        os._exit(status)

    def _rise(self) -> None:
        """The guard is dead: this process becomes the guard, and a child of it the keeper."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if self._above is not None:
            self._above.close()
        pid = os.fork()
        if pid:
            theirs.close()
            if self._below is not None:
                self._below.close()
            self._above = None
            self.adopt(ours, pid)
            self._settle()
            return
        ours.close()
        self._above = theirs
        self._settle()
        self._tell_below(b"guard", [theirs.fileno()])

    def _wait(self) -> None:
        poll = select.poll()
        for channel in (self._below, self._above):
            if channel is not None:
                poll.register(channel, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        poll.poll()
        try:
            while os.read(self._wake, 512):
                pass
        except BlockingIOError:
            return

    def _hear_below(self) -> None:
        """Take everything said below, even if they are dead by now: what they gave us to hold must not be lost."""
        while self._below is not None:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._below, _LONGEST_MESSAGE, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except ConnectionError:
                message, descriptors = b"", []
            if message:
                self._obey(message.decode(), descriptors)
            else:
                self._bury()

    def _hear_above(self) -> None:
        while self._above is not None:
            try:
                message = self._above.recv(EXIT.size, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionError:
                message = b""
            if not message:
                self._rise()
                return
            self._tell_below(message)

    def _obey(self, message: str, descriptors: list[int]) -> None:
        self._tell_above(message, descriptors)
        verb, _, name = message.partition(" ")
        match verb:
            case "leave":
                self._leaving = True
            case "hold":
                self._drop(name)
                self.estate.holdings[name] = descriptors[0]
            case "drop":
                self._drop(name)
            case "reset":
                for held in list(self.estate.holdings):
                    self._drop(held)

    def _drop(self, name: str) -> None:
        descriptor = self.estate.holdings.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def _reap(self) -> None:
        while (ended := self._peek()) is not None:
            pid, status = ended
            if pid == self._ward and self._above is not None:  # a dead keeper is no matter of the guard's: the worker may live
                self._hear_below()
                self._bury()
            self._note_exit(pid, status)
            os.waitpid(pid, 0)
            self._tell_below(EXIT.pack(pid, status))

    @staticmethod
    def _peek() -> tuple[int, int] | None:
        """An ended child that is left a zombie, as (pid, wait status)."""
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None
        return None if info is None else (info.si_pid, wait_status(info))

    def _bury(self) -> None:
        """Nobody is below any more."""
        lived = time.monotonic() - self._born
        self._delay = 0.0 if lived >= _SHORTEST_LIFE else min(max(self._delay * 2, 0.005), 1.0)
        if self._below is not None:
            self._below.close()
            self._below = None

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

    def _tell_below(self, message: bytes, descriptors: list[int] | None = None) -> None:
        if self._below is not None:
            with contextlib.suppress(OSError):  # full or closed: the worker reads the file, or asks the pidfd
                socket.send_fds(self._below, [message], descriptors or [])

    def _tell_above(self, message: str, descriptors: list[int] | None = None) -> None:
        if self._above is not None:
            with contextlib.suppress(OSError):  # dead: what is held lives on here
                socket.send_fds(self._above, [message.encode()], descriptors or [])


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
