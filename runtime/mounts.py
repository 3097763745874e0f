"""Mounts by descriptor: detached mounts made of file systems and host directories, attached inside a root that they cannot leave.

Every target is looked up by openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS, so a symbolic link in an image leads nowhere but into the image.
In the container child only, in its own mount namespace.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from runtime.errors import KernelError, LaunchError
from runtime.native import syscalls as sys

_INSIDE = sys.RESOLVE_IN_ROOT | sys.RESOLVE_NO_MAGICLINKS
_LINKS = 40  # as many as the kernel follows

_ATTRIBUTES = {
    "ro": sys.MOUNT_ATTR_RDONLY,
    "nosuid": sys.MOUNT_ATTR_NOSUID,
    "nodev": sys.MOUNT_ATTR_NODEV,
    "noexec": sys.MOUNT_ATTR_NOEXEC,
    "noatime": 0x10,
    "strictatime": sys.MOUNT_ATTR_STRICTATIME,
    "nodiratime": 0x80,
}
_NEGATIONS = {"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "atime": "noatime", "diratime": "nodiratime"}
_IGNORED = {"relatime", "defaults", "rprivate", "private", "tmpcopyup", "notmpcopyup"}

PROPAGATION = {
    "private": sys.MS_PRIVATE,
    "rprivate": sys.MS_PRIVATE,
    "slave": sys.MS_SLAVE,
    "rslave": sys.MS_SLAVE,
    "shared": sys.MS_SHARED,
    "rshared": sys.MS_SHARED,
}


def filesystem(kind: str, options: Sequence[str] = (), attributes: int = 0, source: str = "") -> int:
    """A detached mount of a new file system instance; ``options`` are ``key=value`` or flags."""
    context = sys.fsopen(kind)
    try:
        sys.fsconfig(context, sys.FSCONFIG_SET_STRING, "source", source or kind)
        for option in options:
            key, equals, value = option.partition("=")
            sys.fsconfig(context, sys.FSCONFIG_SET_STRING if equals else sys.FSCONFIG_SET_FLAG, key, value)
        sys.fsconfig(context, sys.FSCONFIG_CMD_CREATE)
        return sys.fsmount(context, attributes)
    finally:
        os.close(context)


def split_options(options: Sequence[str]) -> tuple[int, list[str]]:
    """mount(8) options as mount attributes and what is left for the file system; the later of two that contradict wins."""
    attributes, rest = 0, dict[str, str]()
    for option in options:
        if option in _ATTRIBUTES:
            attributes |= _ATTRIBUTES[option]
        elif option in _NEGATIONS:
            attributes &= ~_ATTRIBUTES[_NEGATIONS[option]]
        elif option not in _IGNORED:
            rest[option.partition("=")[0]] = option
    return attributes, list(rest.values())


def clone_tree(path: str, *, recursive: bool = True, directory: int = sys.AT_FDCWD) -> int:
    """A detached bind mount of a path."""
    return sys.open_tree(directory, path, sys.AT_RECURSIVE if recursive else 0)


def clone_inside(source: str, subpath: str, *, recursive: bool) -> int:
    """A detached bind mount of ``subpath`` below the directory ``source``, which no symbolic link in it can leave."""
    root = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = sys.openat2(root, subpath, os.O_PATH, _INSIDE)
    finally:
        os.close(root)
    try:
        return clone_tree("", recursive=recursive, directory=found)
    finally:
        os.close(found)


class Root:
    """The container's root directory, by descriptor. Paths are the container's; ``create`` makes what is missing of a target."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def open(self, path: str, flags: int = os.O_PATH, *, mode: int = 0) -> int:
        """Open a path inside the root."""
        return sys.openat2(self.descriptor, path or ".", flags, _INSIDE, mode)

    def exists(self, path: str) -> bool:
        """Whether the path leads to something inside the root."""
        try:
            os.close(self.open(path))
        except KernelError:
            return False
        return True

    def attach(self, mounted: int, path: str, *, create: bool = True) -> None:
        """Attach a detached mount (and close it); a missing target is made as a directory or file, as the mount's root is."""
        is_directory = stat.S_ISDIR(os.fstat(mounted).st_mode)
        target = (self.make_directory(path) if is_directory else self.make_file(path)) if create else self.open(path)
        try:
            if stat.S_ISDIR(os.fstat(target).st_mode) != is_directory:
                raise KernelError("move_mount", errno.ENOTDIR, path)  # the kernel would say EINVAL
            sys.move_mount(mounted, target, path)
        finally:
            os.close(target)
            os.close(mounted)

    def make_directory(self, path: str, mode: int = 0o755, _links: int = _LINKS) -> int:
        """Open a directory (O_PATH), making it and its parents where they are missing."""
        try:
            return self.open(path)
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise
        parent, name = self._parent(path, _links)
        try:
            self._create(parent, name, path, _links, lambda: os.mkdir(name, mode, dir_fd=parent))
        finally:
            os.close(parent)
        return self.open(path)

    def make_file(self, path: str, _links: int = _LINKS) -> int:
        """Open a file (O_PATH), making it empty, and its parents, where they are missing."""
        try:
            return self.open(path)
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise
        parent, name = self._parent(path, _links)
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            self._create(parent, name, path, _links, lambda: os.close(os.open(name, flags, 0o755, dir_fd=parent)), file=True)
        finally:
            os.close(parent)
        return self.open(path)

    def _parent(self, path: str, links: int) -> tuple[int, str]:
        head, _, name = path.rstrip("/").rpartition("/")
        return self.make_directory(head or "/", _links=links), name

    def _create(self, parent: int, name: str, path: str, links: int, make: object, *, file: bool = False) -> None:
        """Make ``name``; when a dangling symbolic link has that name, make what it points to."""
        try:
            make()  # type: ignore[operator]
        except FileExistsError:
            pointed = os.readlink(name, dir_fd=parent)
            if links == 0:
                raise KernelError("openat2", errno.ELOOP, path) from None
            target = pointed if pointed.startswith("/") else f"{path.rstrip('/').rpartition('/')[0]}/{pointed}"
            os.close(self.make_file(target, links - 1) if file else self.make_directory(target, _links=links - 1))


def read_only(mounted: int, *, recursive: bool) -> None:
    """Make a detached mount read-only."""
    sys.mount_setattr(mounted, attr_set=sys.MOUNT_ATTR_RDONLY, recursive=recursive)


def explained(error: KernelError, origin: str, target: str) -> LaunchError:
    """A failed mount in the words of the document."""
    hint = error.hint
    if error.errno == errno.ENOTDIR:
        hint = "one of source and target is a file and the other a directory"
    message = f"{origin or 'mount'}: {target}: {error.message}"
    return LaunchError("mounts", message, errno=error.errno, hint=hint)
