"""Namespaces: making a child in new ones, and joining those of others (namespaces(7)). In the supervisor, the builder, and their children."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterator, Mapping

from runtime.bundle import NamespacePlan
from runtime.errors import KernelError, LaunchError
from runtime.native import syscalls as sys
from runtime.record import dataclass

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_CLONE_PARENT = 0x8000
ENTERED = sys.CLONE_NEWNS | sys.CLONE_NEWUTS | sys.CLONE_NEWIPC | sys.CLONE_NEWNET | sys.CLONE_NEWCGROUP


@dataclass(frozen=True, slots=True)
class Child:
    """What a clone gave: pid 0 in the child. ``middle`` is a process of ours to be waited for, or 0."""

    pid: int
    pidfd: int


def clone_child(flags: int, pid_namespace: int = -1, cgroup: int = -1) -> Child:
    """Fork into new namespaces, into the pid namespace of the process behind the pidfd ``pid_namespace``, into a v2 cgroup directory.

    All signals are blocked in the child, so that no handler of the caller's runs there. A caller with threads forks twice, because
    a raw clone3 copies locks held by threads that the child has not got.
    """
    blocked = sys.sigprocmask(sys.ALL_SIGNALS)
    child = Child(0, -1)
    try:
        child = _clone(flags, pid_namespace, cgroup) if _single_threaded() else _clone_by_middle(flags, pid_namespace, cgroup)
    finally:
        if child.pid:
            sys.sigprocmask(blocked)
    return child


def _single_threaded() -> bool:
    return len(os.listdir("/proc/self/task")) == 1


def _clone(flags: int, pid_namespace: int, cgroup: int) -> Child:
    exit_signal = 0 if flags & _CLONE_PARENT else signal.SIGCHLD
    with _pid_namespace(pid_namespace):
        return Child(*sys.clone3(flags, exit_signal, cgroup))


@contextlib.contextmanager
def _pid_namespace(pidfd: int) -> Iterator[None]:
    """Let children be born in another pid namespace for a moment (pid_namespaces(7): setns changes it for children only)."""
    if pidfd < 0:
        yield
        return
    own, parent = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC), os.getpid()
    try:
        sys.setns(pidfd, sys.CLONE_NEWPID, "pid namespace")
        yield
    finally:
        if os.getpid() == parent:
            sys.setns(own, sys.CLONE_NEWPID)
        os.close(own)


def _clone_by_middle(flags: int, pid_namespace: int, cgroup: int) -> Child:
    """Fork an ordinary child first (that has one thread and sane locks); its child is ours by CLONE_PARENT."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    middle = os.fork()
    if middle == 0:
        return _middle(theirs, flags, pid_namespace, cgroup)
    theirs.close()
    with ours:
        message, descriptors, _, _ = socket.recv_fds(ours, 64, 1)
    os.waitpid(middle, 0)
    pid, errno = struct.unpack("=ii", message)
    if errno:
        raise KernelError("clone3", errno)
    return Child(pid, descriptors[0])


def _middle(connection: socket.socket, flags: int, pid_namespace: int, cgroup: int) -> Child:
    try:
        child = _clone(flags | _CLONE_PARENT, pid_namespace, cgroup)
    except KernelError as error:
        connection.send(struct.pack("=ii", 0, error.errno))
        os._exit(1)
    if child.pid:
        socket.send_fds(connection, [struct.pack("=ii", child.pid, 0)], [child.pidfd])
        os._exit(0)
    return child


def flags_for(plan: NamespacePlan) -> int:
    """The clone3 flags of the namespaces that are the container's own from birth."""
    flags = sys.CLONE_NEWNS
    flags |= 0 if plan.pid else sys.CLONE_NEWPID
    flags |= 0 if plan.ipc else sys.CLONE_NEWIPC
    flags |= 0 if plan.uts else sys.CLONE_NEWUTS
    return flags | (sys.CLONE_NEWNET if plan.network == "none" else 0)


def join(plan: NamespacePlan, donors: Mapping[str, int]) -> None:
    """In the child: join the namespaces of others, or set up those that are the container's own."""
    for name, flag, donor in (("ipc", sys.CLONE_NEWIPC, plan.ipc), ("uts", sys.CLONE_NEWUTS, plan.uts)):
        if donor not in ("", "host"):
            _join_file(f"/proc/{donors[donor]}/ns/{name}", flag)
    if plan.network == "none":
        bring_up_loopback()
    elif plan.network != "host":
        _join_network(plan, donors)


def _join_network(plan: NamespacePlan, donors: Mapping[str, int]) -> None:
    try:
        _join_file(plan.network, sys.CLONE_NEWNET)
    except (FileNotFoundError, KernelError) as error:
        if not plan.network_donor:
            raise LaunchError("network", f"network namespace {plan.network} is not there: {error}") from None
        _join_file(f"/proc/{donors[plan.network_donor]}/ns/net", sys.CLONE_NEWNET)


def _join_file(path: str, flag: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sys.setns(descriptor, flag, path)
    finally:
        os.close(descriptor)


def bring_up_loopback() -> None:
    """Set ``lo`` up in the current network namespace (netdevice(7)); a new one has it down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = bytearray(fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0)))
        flags = struct.unpack_from("h", request, 16)[0] | _IFF_UP
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags))
