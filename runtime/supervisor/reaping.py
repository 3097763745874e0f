"""Learning how processes ended, whoever's children they are. In the supervisor's worker.

Our own children are waited for; those of an earlier worker are the keeper's, which tells; what both fail to tell (both were killed once, and
the process is init's child now) the pidfd knows from Linux 6.15 on, and /proc as long as nobody reaped the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from runtime.native import syscalls
from runtime.store import read_file
from runtime.supervisor.keeper import wait_status
from runtime.supervisor.loop import Loop

LOST = 255 << 8  # the wait status when nobody can tell
_ATTEMPTS = 20
_PAUSE = 0.05

Ended = Callable[[int], None]


class Reaping:
    """Calls back with the wait status once a process has ended; reaps our own children after that."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._expected: dict[int, tuple[int, Ended]] = {}

    def expect(self, pid: int, pidfd: int, ended: Ended) -> None:
        """Call ``ended(status)`` at the end of ``pid``, then close ``pidfd``."""
        self._expected[pid] = (pidfd, ended)
        self._loop.watch(pidfd, lambda _: self._look(pid, 0))

    def notice(self, pid: int, status: int) -> None:
        """The keeper reaped ``pid``."""
        if pid in self._expected:
            self._finish(pid, status)

    def _look(self, pid: int, attempt: int) -> None:
        if pid not in self._expected:
            return
        pidfd = self._expected[pid][0]
        status = _status(pid, pidfd)
        if status is not None or attempt >= _ATTEMPTS:
            self._finish(pid, LOST if status is None else status)
            return
        self._loop.forget(pidfd)  # it stays readable; somebody is about to reap it
        self._loop.after(_PAUSE, lambda: self._look(pid, attempt + 1))

    def _finish(self, pid: int, status: int) -> None:
        pidfd, ended = self._expected.pop(pid)
        self._loop.forget(pidfd)
        try:
            ended(status)  # writes the status down: until then a zombie of ours must stay, to tell the next worker
        finally:
            _reap(pidfd)
            os.close(pidfd)


def exit_code(status: int) -> int:
    """A shell's and Docker's exit code of a wait status: 128+n for signal n."""
    return status >> 8 if status & 0x7F == 0 else 128 + (status & 0x7F)


def _status(pid: int, pidfd: int) -> int | None:
    try:
        info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        status = syscalls.pidfd_exit_status(pidfd)
        return _zombie_status(pid) if status is None else status
    return None if info is None else wait_status(info)


def _zombie_status(pid: int) -> int | None:
    """Field 52 of /proc/<pid>/stat (proc_pid_stat(5)), which is the wait status of a zombie; the pid is not reused while it is one."""
    fields = (read_file(f"/proc/{pid}/stat") or b"").rpartition(b") ")[2].split()
    return int(fields[49]) if fields[:1] == [b"Z"] else None


def _reap(pidfd: int) -> None:
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return
