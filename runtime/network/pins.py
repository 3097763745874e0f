"""Pinned network namespaces: an nsfs file bound at ``<run>/netns/<container id>`` keeps one alive without a process. In the network worker.

The worker is a single thread, so it may step into a container's namespace and back (setns(2)); nothing else of it notices.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from runtime.errors import Unsupported
from runtime.native import syscalls
from runtime.store import remove_file

_OWN = "/proc/thread-self/ns/net"
_DEFAULTS = {
    "net.ipv4.ip_unprivileged_port_start": "0",  # as in Docker: a namespace of its own needs no privileged ports
    "net.ipv4.ping_group_range": "0 2147483647",
    "net.ipv6.conf.default.accept_dad": "0",  # addresses are ours to give: no second of waiting for a duplicate
    "net.ipv6.conf.default.disable_ipv6": "1",  # interfaces with an IPv6 address switch it on for themselves
}


def is_pinned(path: str) -> bool:
    """Whether a live namespace is bound there (not the empty file that a crash between two steps leaves)."""
    try:
        return os.stat(path).st_dev == os.stat(_OWN).st_dev
    except OSError:
        return False


def new() -> int:
    """Make a network namespace; the caller is back in its own afterwards. It lives as long as the returned descriptor, until it is pinned."""
    with _stay_home():
        syscalls.unshare(syscalls.CLONE_NEWNET)
        write_sysctls(_DEFAULTS, required=False)
        return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


def pin(namespace: int, path: str) -> None:
    """Bind a namespace at ``path``: what is pinned is complete, since one whose maker was killed before is gone with it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    syscalls.mount(f"/proc/self/fd/{namespace}", path, "", syscalls.MS_BIND)


def unpin(path: str) -> None:
    """Let the namespace go: it vanishes, interfaces and all, with its last process. Already gone is success."""
    while is_pinned(path):
        syscalls.umount2(path, syscalls.MNT_DETACH)
    remove_file(path)


@contextmanager
def let_go(path: str) -> Iterator[None]:
    """Unpin the namespace; it vanishes at the end of the block, or with this process."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if is_pinned(path) else -1
    try:
        unpin(path)
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def inside(path: str) -> Iterator[int]:
    """Be in the pinned namespace for a moment; yields its file descriptor."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _stay_home():
            syscalls.setns(descriptor, syscalls.CLONE_NEWNET, path)
            yield descriptor
    finally:
        os.close(descriptor)


def write_sysctls(values: Mapping[str, str], *, required: bool = True) -> None:
    """Set ``net.…`` parameters of the namespace the caller is in. Raises Unsupported, unless not ``required``."""
    for name, value in values.items():
        path = f"/proc/sys/{_sysctl_path(name)}"
        try:
            with open(path, "w") as file:
                file.write(value)
        except OSError as error:
            if required:
                raise Unsupported(f"sysctl {name}={value}: {error.strerror}", hint=_sysctl_hint(error)) from error


def _sysctl_path(name: str) -> str:
    """``net.ipv4.conf.eth0.forwarding`` → path; a slash keeps its place, so that links with a dot can be named (sysctl(8))."""
    return name if "/" in name else name.replace(".", "/")


def _sysctl_hint(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "this kernel has no such parameter in a network namespace; leave it out"
    return "is /proc/sys mounted read-only?" if isinstance(error, PermissionError) or error.errno == 30 else "check the value"


@contextmanager
def _stay_home() -> Iterator[None]:
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET, "the host's network namespace")
        os.close(home)
