"""Launching a container's first process. The parent's side: cgroup, clone3, and waiting for the child's word. In the supervisor and the image builder.

``launch`` blocks for the few milliseconds until execve(2) succeeded; ``begin`` and ``Launching`` let a selector loop start many at once.
What the child does between clone3 and execve is ``runtime.sandbox_child``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NoReturn

from runtime import cgroups, sandbox_child, security
from runtime.bundle import Bundle
from runtime.cgroups import Cgroup
from runtime.errors import LaunchError
from runtime.namespaces import Child, clone_child, flags_for
from runtime.native import syscalls as sys
from runtime.record import dataclass
from runtime.sandbox_channel import Outcome, channel, receive
from runtime.sandbox_child import Order, Progress
from runtime.sandbox_init import find_init
from runtime.sandbox_process import ignored_signals
from runtime.sandbox_stdio import Streams

_SMALL = 64 << 20  # bytes: under a smaller memory limit the child joins its cgroup at the last moment
_NO_DONORS: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Stdio:
    """Descriptors of the child's standard streams; the caller closes its own copies. -1 is /dev/null.

    With ``terminal``, ``stdin`` is the slave of a pseudo-terminal that becomes the controlling one; -1 makes a new one in the
    container's own devpts (as Docker does; only then does ttyname(3) work inside) and returns its master in ``Launched.terminal``.
    ``size`` is that terminal's rows and columns from its first moment on; zeros are for later.
    """

    stdin: int = -1
    stdout: int = -1
    stderr: int = -1
    terminal: bool = False
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Launched:
    """A running process: ``pid`` in the caller's namespace, ``pidfd`` (close-on-exec, the caller's to close), the terminal's master or -1,
    and what had to be left out."""

    pid: int
    pidfd: int
    terminal: int = -1
    warnings: tuple[str, ...] = ()


class Launching:
    """A launch under way: ``fileno()`` becomes readable when the outcome is known, then ``finish()`` returns or raises it at once."""

    def __init__(self, pid: int, pidfd: int, connection: socket.socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self._connection = connection

    def fileno(self) -> int:
        """For a selector."""
        return self._connection.fileno()

    def finish(self) -> Launched:
        """The outcome; waits for it, which takes no longer than an execve(2) once ``fileno()`` is readable.

        Raises LaunchError, with the child reaped and ``pidfd`` closed.
        """
        try:
            outcome = receive(self._connection)
        finally:
            self._connection.close()
        if outcome.ready and outcome.error is None:
            return Launched(self.pid, self.pidfd, outcome.terminal, outcome.warnings)
        status = self._reap(outcome)
        raise outcome.error or _killed(status)

    def _reap(self, outcome: Outcome) -> int:
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        if outcome.terminal >= 0:
            os.close(outcome.terminal)
        return result.si_status if result else 0


def _killed(number: int) -> LaunchError:
    hint = "a memory limit of less than 6 MiB is too small for any container" if number == 9 else None
    return LaunchError("start", f"killed by signal {number} before its program could start", exit_code=128 + number, hint=hint)


def launch(bundle: Bundle, stdio: Stdio, donors: Mapping[str, int] = _NO_DONORS) -> Launched:
    """Start a container's first process and return when it has been executed. Raises LaunchError (exit codes 125, 126, 127 as in Docker).

    ``donors`` maps the ids in ``bundle.namespaces.donors`` to the pids of their first processes.
    The child is the caller's to reap. Nothing of a failed launch stays but the (empty) cgroup directories, which ``cgroups.find(...).remove()`` takes away.
    """
    return begin(bundle, stdio, donors).finish()


def begin(bundle: Bundle, stdio: Stdio, donors: Mapping[str, int] = _NO_DONORS) -> Launching:
    """Start a launch without waiting for its outcome."""
    for container in bundle.namespaces.donors:
        if container not in donors:
            raise LaunchError(
                "namespaces", f"container {container[:12]}, whose namespace is to be joined, is not running", hint="start it first"
            )
    cgroup = cgroups.create(bundle.cgroup, bundle.devices) if bundle.cgroup.path else None
    late = bool(bundle.cgroup.resources.memory) and (bundle.cgroup.resources.memory or 0) < _SMALL
    directory, gates = ways_in(cgroup, early=not late)
    donor = _pid_donor(bundle, donors)
    ours, theirs = channel()
    order = Order(
        bundle=bundle,
        streams=Streams(stdio.stdin, stdio.stdout, stdio.stderr, stdio.terminal, console=True, size=stdio.size),
        donors=donors,
        cgroup=cgroup,
        gates=gates,
        connection=theirs,
        late=late,
        ignored_signals=ignored_signals(),
        init=find_init() if bundle.init else "",
        warnings=_lacking_capabilities(bundle),
    )
    child = fork(order, flags_for(bundle.namespaces), donor, directory, partial(sandbox_child.launch, order))
    return Launching(child.pid, child.pidfd, ours)


def fork(order: Order, flags: int, pid_namespace: int, directory: int, steps: Callable[[Progress], NoReturn]) -> Child:
    """Make the child and let it do its steps; in the parent, close what only the child needs."""
    try:
        child = clone_child(flags, pid_namespace, directory)
        if child.pid == 0:
            sandbox_child.run(order.connection, steps)
        return child
    finally:
        order.connection.close()
        for descriptor in (directory, pid_namespace, *order.gates):
            if descriptor >= 0:
                os.close(descriptor)


def ways_in(cgroup: Cgroup | None, *, early: bool) -> tuple[int, list[int]]:
    """The cgroup's v2 directory when a child may be born there, else -1, and the gates that it has to go through by itself.

    Opened here, since a fresh child needs three times as long for everything it does for the first time.
    """
    if cgroup is None:
        return -1, []
    directory = cgroup.descriptor() if early else -1
    try:
        return directory, cgroup.gates(born=directory >= 0)
    except LaunchError:
        if directory >= 0:
            os.close(directory)
        raise


def _lacking_capabilities(bundle: Bundle) -> list[str]:
    """Nobody can give what he has not got: an engine that runs in a container itself may lack some."""
    missing = security.capability_mask(bundle.confinement.capabilities) & ~_permitted()
    if bundle.privileged or not missing:
        return []
    names = [c for c in bundle.confinement.capabilities if missing & security.capability_mask((c,))]
    return [f"the engine itself lacks the capabilities {', '.join(names)}: the container does without"]


@cache
def _permitted() -> int:
    return sys.capget_permitted()


def _pid_donor(bundle: Bundle, donors: Mapping[str, int]) -> int:
    donor = bundle.namespaces.pid
    return -1 if donor in ("", "host") else os.pidfd_open(donors[donor])
