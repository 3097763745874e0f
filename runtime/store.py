"""Paths, atomic files and locks: where everything lies on disk. In every process of ours; stdlib only.

``PYCOMPOSE_ROOT`` (default ``/var/lib/pycompose``) outlives a reboot, ``PYCOMPOSE_RUN`` (default ``/run/pycompose``) does not.
One writer per file: the engine writes ``spec.json`` and friends, the supervisor ``state.json``, logs and events. Readers accept "not there".
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.record import dataclass

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Paths:
    """The two roots, and every path below them."""

    root: str
    run: str

    @property
    def images(self) -> str:
        """The image store's own tree (see ``runtime.images``)."""
        return f"{self.root}/images"

    @property
    def volumes(self) -> str:
        """``<name>/volume.json`` and ``<name>/_data``."""
        return f"{self.root}/volumes"

    @property
    def networks(self) -> str:
        """``<name>/network.json`` and ``<name>/leases/<address>``, each holding a container id."""
        return f"{self.root}/networks"

    @property
    def projects(self) -> str:
        """``<project>/containers/<id>/…`` and ``<project>/events``."""
        return f"{self.root}/projects"

    def project(self, project: str) -> str:
        """What outlives a reboot of one project."""
        return f"{self.root}/projects/{project}"

    def container(self, project: str, container_id: str) -> str:
        """One container: ``spec.json image.json bundle.json created`` (engine), ``state.json`` (supervisor), ``upper work logs files``."""
        return f"{self.root}/projects/{project}/containers/{container_id}"

    def project_run(self, project: str) -> str:
        """What a reboot ends: ``lock`` (one changing command), ``supervisor.lock``, ``supervisor.sock``, ``io/<id>/``."""
        return f"{self.run}/projects/{project}"

    def netns(self, container_id: str) -> str:
        """The pinned network namespace of a container (a bind mount of its nsfs file)."""
        return f"{self.run}/netns/{container_id}"

    def names(self, network: str) -> str:
        """DNS records of what runs on a network: ``<container id>.json``, written by supervisors."""
        return f"{self.run}/names/{network}"


def paths() -> Paths:
    """The paths in force: the environment's, root's, or (not root) the XDG directories'."""
    root = os.environ.get("PYCOMPOSE_ROOT")
    run = os.environ.get("PYCOMPOSE_RUN")
    if os.geteuid() == 0:
        return Paths(root or "/var/lib/pycompose", run or "/run/pycompose")
    home = os.path.expanduser("~")
    data = os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/pycompose-{os.geteuid()}"
    return Paths(root or f"{data}/pycompose", run or f"{runtime}/pycompose")


def write_atomic(path: str, content: str | bytes, mode: int = 0o644, *, durable: bool = False) -> None:
    """Replace ``path`` whole: readers see the old content or the new. ``durable`` also survives a power cut (fsync, file and directory)."""
    temporary = f"{path}.{os.getpid()}.tmp"
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            file.write(data)
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        remove_file(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make a rename in ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: str) -> bytes | None:
    """The content, or None when there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:  # by read(2): a file object asks the kernel four more things, and commands read hundreds of files
        content = b""
        while part := os.read(descriptor, _CHUNK):
            content += part
        return content
    finally:
        os.close(descriptor)


def write_file(path: str, content: str | bytes) -> None:
    """Make or overwrite a file in place: for what nobody reads yet, and what a container has bound."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        left = memoryview(content.encode() if isinstance(content, str) else content)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def remove_file(path: str) -> None:
    """Remove a file; already gone is success."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def entries(path: str) -> list[str]:
    """Names in a directory, sorted; none when it is not there."""
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def publication(container_directory: str) -> bytes:
    """Tells one publishing of a container's ports from the next: a supervisor that takes the rules of the last run away must not hit those of the next."""
    return read_file(f"{container_directory}/published") or b""


def renew_publication(container_directory: str) -> None:
    """To be called before the ports are published."""
    with open(f"{container_directory}/published", "wb") as file:
        file.write(os.urandom(8))


@contextmanager
def locked(path: str, *, shared: bool = False) -> Iterator[int]:
    """Hold flock(2) on ``path`` (created when missing); blocks until it is free. The kernel frees it when the process dies.

    Yields the descriptor: a process that is given a copy holds the lock too, until it ends.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(path: str) -> bool:
    """Whether some living process holds the lock on ``path``."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
