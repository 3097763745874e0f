"""A layer being written: a directory in overlayfs' own form over the layers below it. Runs in worker threads of the command's process.

Paths are looked up in the merged view, so that links of the image are followed inside it; what changes is copied up by hand, directories with
their modes, owners and attributes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence

from runtime.build.fingerprint import attributes
from runtime.build.modes import Mode
from runtime.build.view import OPAQUE, Node, View
from runtime.errors import BuildError

_CHUNK = 1 << 20
_SMALL = 64 << 10
_WHITEOUT = ".wh."
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerWriter:
    """Writes below ``upper``, an empty directory, over ``lowers`` (lowest first)."""

    def __init__(self, upper: str, lowers: Sequence[str]) -> None:
        self.upper = upper
        self.below = View(lowers)
        self.view = View([*lowers, upper])
        self._made: set[str] = {""}
        self._fresh: set[str] = set()  # directories that the layers below have not: nothing in them needs to be looked up there
        self._adopt_root()

    def directory(self, path: str, *, owner: tuple[int, int] | None = None, mode: Mode | None = None) -> str:
        """The canonical name of a directory that now stands in this layer; missing ones are made (0755 unless ``mode``, root's unless ``owner``)."""
        name = self.view.locate(path).name
        done = ""
        for part in name.split("/") if name else ():
            done = f"{done}/{part}" if done else part
            self._raise(done, owner, mode)
        return name

    def subdirectory(self, name: str, *, new: bool) -> str:
        """``directory`` of a name that needs no look-up: its parent is canonical, and ``new`` says that nothing is there."""
        if not new:
            return self.directory(name)
        os.mkdir(self.host(name), 0o755)
        self._made.add(name)
        self._fresh.add(name)
        return name

    def host(self, name: str) -> str:
        """Where ``name`` lies in this layer's directory."""
        return f"{self.upper}/{name}" if name else self.upper

    def existing(self, name: str) -> Node | None:
        """What the image has at ``name`` so far, links not followed."""
        if name.rpartition("/")[0] in self._fresh and not os.path.lexists(self.host(name)):
            return None
        return self.view.locate(name, follow=False).node

    def is_fresh(self, directory: str) -> bool:
        """Whether only this layer has the directory: names in it that were not written yet are free."""
        return directory in self._fresh

    def make_way(self, name: str) -> None:
        """Remove what an earlier part of this same layer put at ``name`` (a directory of the layers below may not be replaced)."""
        _refuse_whiteout(name)
        path = self.host(name)
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            raise BuildError(f"cannot replace the directory /{name} with a file", hint="end the target with / to copy into the directory")
        os.unlink(path)

    def file(
        self, name: str, source: str, found: os.stat_result, mode: int, owner: tuple[int, int], *, attributed: bool
    ) -> os.stat_result:  # fmt: skip
        """A regular file with the bytes of ``source`` (which ``found`` described), replacing what the name stood for.

        ``attributed`` keeps its extended attributes. Returns what the source was like after the copy.
        """
        origin = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            target = self._new(name)
            try:
                _copy_bytes(origin, target, found.st_size)
                os.fchown(target, *owner)  # a directory with the set-group-ID bit gives its own group
                os.fchmod(target, mode)
                for key, value in attributes(origin) if attributed else ():
                    os.setxattr(target, key, value)
                os.utime(target, ns=whole_seconds(found))
            finally:
                os.close(target)
            return os.fstat(origin)
        finally:
            os.close(origin)

    def content(self, name: str, data: bytes) -> None:
        """A regular file with given bytes."""
        self.pieces(name, (data,))

    def pieces(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """A regular file with bytes that come in pieces."""
        with open(self._new(name), "wb") as file:
            for piece in pieces:
                file.write(piece)

    def replace_by_directory(self, name: str) -> None:
        """An empty directory in place of what the layers below have at ``name``, which is none."""
        os.mkdir(self.host(name), 0o755)
        os.setxattr(self.host(name), OPAQUE, b"y")  # as overlayfs marks a directory where something else was
        self._made.add(name)

    def _new(self, name: str) -> int:
        _refuse_whiteout(name)
        try:
            return os.open(self.host(name), _CREATE, 0o600)
        except FileExistsError:
            self.make_way(name)
            return os.open(self.host(name), _CREATE, 0o600)

    def is_empty(self) -> bool:
        """Whether nothing was written."""
        return not os.listdir(self.upper)

    def _raise(self, name: str, owner: tuple[int, int] | None, mode: Mode | None) -> None:
        if name in self._made:
            return
        node = self.view.locate(name, follow=False).node
        if node is not None and not node.is_directory:
            raise BuildError(f"/{name} is not a directory")
        path = self.host(name)
        if node is None:
            _make_directory(path, mode.created if mode else 0o755, owner)
            self._fresh.add(name)
        elif node.path != path:
            parent = os.path.dirname(path)
            before = os.stat(parent)
            os.mkdir(path, 0o700)
            copy_metadata(node.path, node.stat, path)
            os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))  # nothing came into it: what it shows is as it was
        self._made.add(name)

    def _adopt_root(self) -> None:
        root = self.below.root
        if root is not None:
            copy_metadata(root.path, root.stat, self.upper)
        else:
            os.chmod(self.upper, 0o755)


def _make_directory(path: str, mode: int, owner: tuple[int, int] | None) -> None:
    """mkdir(2), under a directory with the set-group-ID bit with what that brings: the bit and the group."""
    os.mkdir(path, mode)
    inherited = os.stat(path).st_mode & stat.S_ISGID
    if owner is not None:
        os.chown(path, *owner)
    os.chmod(path, mode | inherited)


def _refuse_whiteout(name: str) -> None:
    if name.rpartition("/")[2].startswith(_WHITEOUT):
        raise BuildError(f"/{name}: names that begin with {_WHITEOUT} mean removal in a layer and cannot be copied", hint="rename the file")


def copy_metadata(source: str, found: os.stat_result, target: str) -> None:
    """Owner, mode, extended attributes and times of ``source`` for a file that is no link."""
    os.chown(target, found.st_uid, found.st_gid)
    os.chmod(target, stat.S_IMODE(found.st_mode))
    for key, value in attributes(source):
        os.setxattr(target, key, value)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _copy_bytes(origin: int, target: int, size: int) -> None:
    if size <= _SMALL:
        while piece := os.read(origin, _SMALL + 1):
            os.write(target, piece)
            if len(piece) <= size:
                return
        return
    try:
        while size > 0 and (copied := os.copy_file_range(origin, target, 1 << 30)):
            size -= copied
    except OSError:  # not on every pair of file systems
        os.lseek(origin, os.lseek(target, 0, os.SEEK_END), os.SEEK_SET)
        while piece := os.read(origin, _CHUNK):
            os.write(target, piece)


def whole_seconds(found: os.stat_result) -> tuple[int, int]:
    """The modification time as layers keep it, for utime(2)'s ``ns``: whole seconds, so that packing need not cut it."""
    seconds = found.st_mtime_ns // 1_000_000_000 * 1_000_000_000
    return seconds, seconds
