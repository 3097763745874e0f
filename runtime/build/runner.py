"""One RUN step: a fresh, single-threaded process that launches the step's command, waits for it and leaves nothing. Standard library only.

Started by ``runtime.build.running``; reads an order (one JSON line) from standard input and keeps reading: its end means that the build was
cancelled or killed. The command lives below a process that is the first of a PID namespace, so that the kernel ends it however this one ends.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from runtime import codec
from runtime.bundle import Bundle
from runtime.errors import RuntimeFailure
from runtime.native import syscalls
from runtime.record import dataclass
from runtime.store import write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What to launch, and the file that gets the RunResult."""

    bundle: Bundle
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How it went: the command's exit code, or why it could not be started."""

    exit_code: int = 0
    error: str = ""
    hint: str = ""


def main() -> None:
    """Carry out the order on standard input; the process's exit code is the command's."""
    order = codec.loads(RunOrder, _read_line(0))
    syscalls.unshare(syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    pid = os.fork()
    if pid == 0:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        os._exit(_carry_out(order))
    code = _wait(pid)
    _remove_cgroup(order.bundle)
    os._exit(code)


def _carry_out(order: RunOrder) -> int:
    from runtime.sandbox import Stdio, launch

    try:
        launched = launch(order.bundle, Stdio(-1, 1, 2))
    except RuntimeFailure as failure:
        write_atomic(order.result, codec.dumps(RunResult(exit_code=failure.exit_code, error=failure.message, hint=failure.hint or "")))
        return failure.exit_code
    status = os.waitid(os.P_PIDFD, launched.pidfd, os.WEXITED)
    code = 0
    if status is not None:
        code = status.si_status if status.si_code == os.CLD_EXITED else 128 + status.si_status
    write_atomic(order.result, codec.dumps(RunResult(exit_code=code)))
    return code


def _wait(pid: int) -> int:
    """The exit code of the child; the child is killed when standard input ends."""
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(0, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poller.poll()}
        if 0 in ready and not os.read(0, 4096):
            os.kill(pid, signal.SIGKILL)
            poller.unregister(0)
        if pidfd in ready:
            _, status = os.waitpid(pid, 0)
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 137


def _remove_cgroup(bundle: Bundle) -> None:
    from runtime import cgroups

    try:
        cgroups.find(bundle.cgroup.path).remove()
    except (OSError, RuntimeFailure):
        return


def _read_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 65536)
        if not piece:
            sys.exit(1)
        line += piece
    return line


if __name__ == "__main__":
    main()
