"""Files in and out of containers as tar streams (``cp``, ``export``), running or not. In a child of the command's process.

The child makes the container's file system its own root first, so every path and symbolic link is the container's; what is needed is
imported before, because afterwards an import would run the container's code. Names of users are never looked up: that would load libraries.
"""

from __future__ import annotations

import json
import os
import stat
import tarfile
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from runtime import sandbox_root
from runtime.bundle import Bundle
from runtime.engine import access
from runtime.errors import NotFound, RuntimeFailure
from runtime.mounts import Root
from runtime.native import syscalls
from runtime.record import dataclass
from runtime.sandbox_child import forget_imports
from runtime.state import ContainerState
from runtime.store import Paths


@dataclass(frozen=True, slots=True, kw_only=True)
class PathInfo:
    """What is at a path in a container: ``target`` is a symbolic link's text."""

    name: str
    mode: int
    size: int = 0
    target: str = ""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory itself (not a link to one)."""
        return stat.S_ISDIR(self.mode)


def stat_path(container_id: str, path: str, *, follow: bool = False, where: Paths | None = None) -> PathInfo | None:
    """What is at ``path``, or None."""
    answer = _inside(container_id, lambda: _stat(path, follow), where)
    return PathInfo(**json.loads(answer)) if answer else None


def pack(container_id: str, path: str, output: int, *, follow: bool = False, where: Paths | None = None) -> None:
    """Write ``path`` as a tar stream to the descriptor ``output``; entries begin with its last name. Raises NotFound."""
    _inside(container_id, lambda: _pack(path, output, follow), where)


def unpack(container_id: str, directory: str, source: int, *, keep_owner: bool = False, where: Paths | None = None) -> None:
    """Extract a tar stream from the descriptor ``source`` into a directory of the container; owners become root unless kept."""
    _inside(container_id, lambda: _unpack(directory, source, keep_owner), where)


def export(container_id: str, output: int, *, where: Paths | None = None) -> None:
    """Write the container's own file system, without what is mounted in it, as a tar stream."""
    state = access.container(container_id, where)
    bundle = replace(access.bundle(state, where), mounts=())
    _child(lambda: _enter_stopped(bundle, read_only=state.running), lambda: _pack_root(output))


def _inside(container_id: str, action: Callable[[], str], where: Paths | None) -> str:
    state = access.container(container_id, where)
    bundle = access.bundle(state, where)
    return _child(lambda: _enter(state, bundle), action)


def _child(enter: Callable[[], None], action: Callable[[], str]) -> str:
    """Run ``action`` in a child that has entered the container; its answer comes back, its failure is raised."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _answer(enter, action, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        text = answers.read()
    os.waitpid(pid, 0)
    outcome = json.loads(text) if text else {"error": "the child ended early"}
    if "error" in outcome:
        raise (NotFound if outcome.get("missing") else RuntimeFailure)(outcome["error"])
    return str(outcome["answer"])


def _answer(enter: Callable[[], None], action: Callable[[], str], writing: int) -> NoReturn:
    outcome: dict[str, object]
    try:
        _preload()
        enter()
        forget_imports()
        outcome = {"answer": action()}
    except FileNotFoundError as error:
        outcome = {"error": f"Could not find the file {error.filename} in container", "missing": True}
    except OSError as error:
        outcome = {"error": f"{error.filename or 'tar stream'}: {error.strerror or error}"}
    except (RuntimeFailure, tarfile.TarError) as error:
        outcome = {"error": str(error)}
    try:
        os.write(writing, json.dumps(outcome).encode())
    finally:
        os._exit(0)


def _preload() -> None:
    """What tarfile imports when it meets a compressed stream: in the container, the import would find the container's files."""
    import bz2  # noqa: F401
    import lzma  # noqa: F401
    import zlib  # noqa: F401


def _enter(state: ContainerState, bundle: Bundle) -> None:
    tarfile.pwd = tarfile.grp = None  # type: ignore[attr-defined]
    if state.running and state.process.pid:
        descriptor = os.open(f"/proc/{state.process.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(descriptor, syscalls.CLONE_NEWNS, "mount namespace")
        return
    _enter_stopped(bundle, read_only=False)


def _enter_stopped(bundle: Bundle, *, read_only: bool) -> None:
    """The layers with the volumes and binds over them, in a mount namespace that ends with this process."""
    tarfile.pwd = tarfile.grp = None  # type: ignore[attr-defined]
    plan = bundle.root
    if read_only:  # the running container holds the upper directory: look at it as one more layer
        plan = replace(plan, lowers=(*plan.lowers, plan.upper), upper="", work="")
    syscalls.unshare(syscalls.CLONE_NEWNS)
    sources = sandbox_root.open_sources(replace(bundle, shm="none", devices=(), privileged=False), (), {}, "")
    root: Root = sandbox_root.enter_root(replace(bundle, root=plan))
    for entry, mounted in sources.entries:
        if mounted >= 0:
            root.attach(mounted, entry.target)


def _stat(path: str, follow: bool) -> str:
    try:
        found = os.stat(path) if follow else os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
    return json.dumps({"name": os.path.basename(path.rstrip("/")) or "/", "mode": found.st_mode, "size": found.st_size, "target": target})


def _pack(path: str, output: int, follow: bool) -> str:
    source = os.path.realpath(path, strict=True) if follow else path
    os.lstat(source)
    name = os.path.basename(path.rstrip("/")) or "."
    with os.fdopen(output, "wb", closefd=False) as file, tarfile.open(fileobj=file, mode="w|", dereference=False) as archive:
        archive.add(source, arcname=name)
    return ""


def _pack_root(output: int) -> str:
    with os.fdopen(output, "wb", closefd=False) as file, tarfile.open(fileobj=file, mode="w|") as archive:
        for name in sorted(os.listdir("/")):
            archive.add(f"/{name}", arcname=name)
    return ""


def _unpack(directory: str, source: int, keep_owner: bool) -> str:
    if not os.path.isdir(directory):
        raise FileNotFoundError(2, "no such directory", directory)
    with os.fdopen(source, "rb", closefd=False) as file:
        if not file.peek(1):  # nothing at all is an empty archive to Docker
            return ""
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                if not keep_owner:
                    member.uid = member.gid = 0
                archive.extract(member, directory, numeric_owner=True)
    return ""
