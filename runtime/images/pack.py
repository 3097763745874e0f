"""Packs a directory in overlay form into a layer's tar: sorted, PAX, whole seconds, whiteouts as OCI spells them (image-spec, layer.md).

The same tree gives the same bytes. ``normalise`` also cuts the times on disk to whole seconds, so that the layer built here and the same
layer pulled elsewhere unpack to equal files. Sockets are left out, as everywhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Protocol

from runtime.errors import ImageError
from runtime.images.bytestream import CHUNK
from runtime.images.limits import DEFAULT
from runtime.images.tarheader import BLOCK, header

_OVERLAY = "trusted.overlay."
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_KEPT = "security.capability"  # all that Docker keeps of extended attributes in a layer
_RENAMES = frozenset({f"{_OVERLAY}redirect", f"{_OVERLAY}metacopy"})


class Recorder(Protocol):
    """Takes down what is needed to write the same tar again (see ``split``)."""

    def raw(self, data: bytes) -> None:
        """Bytes that are not a file's content."""

    def file(self, path: bytes, offset: int, length: int) -> int:
        """Content now at ``offset`` of ``path``."""


class _Nobody:
    def raw(self, data: bytes) -> None:
        """Forget it."""

    def file(self, path: bytes, offset: int, length: int) -> int:
        """Forget it."""
        return 0


class Packer:
    """Iterate it for the tar's chunks; ``size`` (bytes in files) and ``entries`` are complete afterwards."""

    def __init__(self, directory: str, recorder: Recorder | None = None, *, normalise: bool = False) -> None:
        self._root = os.fsencode(directory)
        self._recorder: Recorder = recorder or _Nobody()
        self._normalise = normalise
        self._links: dict[tuple[int, int], bytes] = {}
        self.size = 0
        self.entries = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self._directory(b"")
        yield self._raw(bytes(2 * BLOCK))

    def _raw(self, data: bytes) -> bytes:
        self._recorder.raw(data)
        return data

    def _directory(self, path: bytes) -> Iterator[bytes]:
        absolute = self._absolute(path)
        if path.count(b"/") >= DEFAULT.depth:
            raise ImageError(
                f"{os.fsdecode(absolute)[:100]}… is nested deeper than {DEFAULT.depth} directories", hint="no image may hold that"
            )
        if path and _opaque(absolute):
            self.entries += 1
            yield self._raw(_mark(path + b"/" + _OPAQUE, os.lstat(absolute)))
        for name in sorted(os.listdir(absolute)):
            yield from self._entry(path + b"/" + name if path else name)

    def _absolute(self, path: bytes) -> bytes:
        return self._root + b"/" + path if path else self._root

    def _entry(self, path: bytes) -> Iterator[bytes]:
        absolute = self._absolute(path)
        found = os.lstat(absolute)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFSOCK:
            return
        self.entries += 1
        if kind == stat.S_IFCHR and found.st_rdev == 0:
            head, slash, name = path.rpartition(b"/")
            yield self._raw(header(head + slash + _WHITEOUT + name, b"0", mode=0o600))
            return
        yield from self._member(path, absolute, found, kind)
        if kind == stat.S_IFDIR:
            yield from self._directory(path)
        if self._normalise and found.st_mtime_ns % 1_000_000_000:
            _cut_time(absolute, found)

    def _member(self, path: bytes, absolute: bytes, found: os.stat_result, kind: int) -> Iterator[bytes]:
        flag, link, size = b"0", b"", 0
        xattrs = _xattrs(absolute)
        match kind:
            case stat.S_IFREG:
                first = self._links.setdefault((found.st_dev, found.st_ino), path) if found.st_nlink > 1 else path
                flag, link, size = (b"1", first, 0) if first != path else (b"0", b"", found.st_size)
            case stat.S_IFLNK:
                flag, link = b"2", os.readlink(absolute)
                self.size += len(link)
            case stat.S_IFDIR:
                flag, path = b"5", path + b"/"
            case _:
                flag = {stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFIFO: b"6"}[kind]
        yield self._raw(header(
            path, flag, mode=stat.S_IMODE(found.st_mode), uid=found.st_uid, gid=found.st_gid, size=size,
            mtime=found.st_mtime_ns // 1_000_000_000, link=link, device=(os.major(found.st_rdev), os.minor(found.st_rdev)), xattrs=xattrs,
        ))  # fmt: skip
        if size:
            yield from self._content(path, absolute, size)

    def _content(self, path: bytes, absolute: bytes, size: int) -> Iterator[bytes]:
        self.size += size
        left = size
        with open(absolute, "rb", buffering=0) as file:
            while left:
                data = file.read(min(left, CHUNK))
                if not data:
                    raise ImageError(
                        f"{os.fsdecode(absolute)} became shorter while it was read", hint="something still writes there; stop it first"
                    )
                left -= len(data)
                yield data
        self._recorder.file(path, 0, size)
        if size % BLOCK:
            yield self._raw(bytes(-size % BLOCK))


def pack(directory: str) -> Iterator[bytes]:
    """The directory as a layer's tar, in chunks."""
    return iter(Packer(directory))


def _mark(path: bytes, directory: os.stat_result) -> bytes:
    """The opaque marker as Docker writes it: with the directory's permissions and owner."""
    return header(path, b"0", mode=directory.st_mode & 0o777, uid=directory.st_uid, gid=directory.st_gid)


def _opaque(absolute: bytes) -> bool:
    try:
        return os.getxattr(absolute, f"{_OVERLAY}opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def _xattrs(absolute: bytes) -> tuple[tuple[bytes, bytes], ...]:
    try:
        names = os.listxattr(absolute, follow_symlinks=False)
    except OSError:
        return ()
    if not names:
        return ()
    if not _RENAMES.isdisjoint(names):
        raise ImageError(
            f"{os.fsdecode(absolute)} is half a file: its overlay was mounted with redirect_dir or metacopy",
            hint="mount the overlay with redirect_dir=off,metacopy=off",
        )
    return ((_KEPT.encode(), os.getxattr(absolute, _KEPT, follow_symlinks=False)),) if _KEPT in names else ()


def _cut_time(absolute: bytes, found: os.stat_result) -> None:
    whole = found.st_mtime_ns // 1_000_000_000 * 1_000_000_000
    os.utime(absolute, ns=(whole, whole), follow_symlinks=False)
