"""Unpacks one layer's tar into a directory in overlayfs' own form, safely (image-spec, layer.md; overlayfs.rst). Where images come in.

Whiteouts (``.wh.name``) become character devices 0:0, opaque markers the xattr ``trusted.overlay.opaque``. What could forge those, reach
outside the directory or stand for the host's memory and disks is refused. Directory times and modes are set last.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Protocol

from runtime.errors import ImageError
from runtime.images.bytestream import ByteStream
from runtime.images.limits import DEFAULT, Limits
from runtime.images.tarstream import Entry, TarStream
from runtime.images.tree import Tree, clean
from runtime.record import dataclass

OPAQUE_XATTR = "trusted.overlay.opaque"
WHITEOUT_PREFIX = b".wh."
OPAQUE_MARKER = b".wh..wh..opq"
_AUFS_PREFIX = b".wh..wh."
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# null, zero, full, random, urandom, kmsg; tty, console, ptmx; tun, fuse: what root file systems ship and no container gets more by
_HARMLESS = frozenset({(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (1, 11), (5, 0), (5, 1), (5, 2), (10, 200), (10, 229)})
_HOSTILE = "this layer is malformed or hostile; nothing of it was kept"


class Recorder(Protocol):
    """Takes down what is needed to write the same tar again (see ``split``)."""

    def raw(self, data: bytes) -> None:
        """Bytes that are not a file's content."""

    def file(self, path: bytes, offset: int, length: int) -> int:
        """Content now at ``offset`` of ``path``; returns its ordinal."""


@dataclass(slots=True)
class Unpacked:
    """What came of it: bytes in regular files, number of entries, and the files that later entries hid."""

    size: int = 0
    entries: int = 0
    replaced: tuple[tuple[int, str, int], ...] = ()


def unpack(stream: ByteStream, root: str, replaced: str, recorder: Recorder, limits: Limits = DEFAULT) -> Unpacked:
    """Write every entry of the tar in ``stream`` below ``root``, an empty directory. Raises ImageError for hostile or damaged archives."""
    tree = Tree(root, replaced)
    try:
        extraction = _Extraction(TarStream(stream, recorder.raw, limits), tree, recorder, limits)
        return extraction.run()
    finally:
        tree.close()


class _Extraction:
    def __init__(self, tar: TarStream, tree: Tree, recorder: Recorder, limits: Limits) -> None:
        self._tar = tar
        self._tree = tree
        self._recorder = recorder
        self._limits = limits
        self._directories: dict[bytes, Entry] = {}
        self._implied: dict[bytes, int] = {}
        self._ordinal = 0
        self._budget = min(limits.layer_bytes, _free_bytes(tree.root) - limits.reserve)
        self._most = min(limits.entries, _free_inodes(tree.root))
        self._result = Unpacked()

    def run(self) -> Unpacked:
        for entry in self._tar:
            self._result.entries += 1
            if self._result.entries > self._most:
                raise ImageError(
                    f"the layer has more than {self._most} entries",
                    hint="raise limits.entries in registries.toml if this is meant",
                )
            self._one(entry)
        for path, entry in sorted(self._directories.items(), reverse=True):
            self._finish_directory(path, entry)
        for path, mtime_ns in sorted(self._implied.items(), reverse=True):
            if path not in self._directories:
                os.utime(self._tree.directory(path), ns=(mtime_ns, mtime_ns))
        self._result.replaced = tuple((ordinal, os.fsdecode(path), number) for ordinal, path, number in self._tree.moves)
        return self._result

    def _one(self, entry: Entry) -> None:
        path = clean(entry.name, self._limits)
        if not path:
            if entry.kind != b"5":
                raise ImageError("the layer's root is not a directory", hint=_HOSTILE)
            self._directories[b""] = entry
            return
        try:
            if path.rpartition(b"/")[2].startswith(WHITEOUT_PREFIX):
                self._whiteout(path, entry)
            else:
                self._create(path, entry)
        except OSError as error:
            raise ImageError(f"layer entry {entry.shown()!r} cannot be written: {error.strerror}") from error
        while self._tree.implied:  # directories that no entry names get the time of what needed them: the same wherever it is unpacked
            self._implied.setdefault(self._tree.implied.pop(), entry.mtime_ns)

    def _create(self, path: bytes, entry: Entry) -> None:
        parent, name = self._tree.parent(path)
        if entry.kind == b"5":
            self._directory(path, parent, name, entry)
            return
        try:
            self._make(path, parent, name, entry)
        except FileExistsError:
            self._displace(path, parent, name)
            self._make(path, *self._tree.parent(path), entry)

    def _make(self, path: bytes, parent: int, name: bytes, entry: Entry) -> None:
        match entry.kind:
            case b"0":
                self._regular(path, parent, name, entry)
            case b"1":
                self._hard_link(path, parent, name, entry)
            case b"2":
                os.symlink(entry.link, name, dir_fd=parent)
                self._result.size += len(entry.link)  # as Docker counts an image's size
                self._metadata_by_name(parent, name, entry, link=True)
            case _:
                os.mknod(name, _node_mode(entry), os.makedev(*entry.device), dir_fd=parent)
                self._metadata_by_name(parent, name, entry, link=False)

    def _displace(self, path: bytes, parent: int, name: bytes) -> bool:
        """Make way for a second entry of that name; true when the first was a whiteout."""
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if found.st_rdev == 0 and stat.S_ISCHR(found.st_mode):
            os.unlink(name, dir_fd=parent)
            return True
        self._tree.displace(path, parent, name, self._ordinal)
        prefix = path + b"/"
        for held in (self._directories, self._implied):
            for known in [k for k in held if k == path or k.startswith(prefix)]:
                del held[known]
        return False

    def _directory(self, path: bytes, parent: int, name: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not _is_directory(parent, name):
                hides = self._displace(path, parent, name)
                os.mkdir(name, 0o700, dir_fd=self._tree.parent(path)[0])
                if hides:
                    os.setxattr(self._tree.directory(path), OPAQUE_XATTR, b"y")
        self._directories[path] = entry

    def _finish_directory(self, path: bytes, entry: Entry) -> None:
        descriptor = self._tree.directory(path)
        os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, entry.mode)
        _set_xattrs(descriptor, entry)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def _regular(self, path: bytes, parent: int, name: bytes, entry: Entry) -> None:
        self._charge(entry)
        descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            if entry.sparse is None:
                self._write(descriptor, path, entry)
            else:
                self._write_sparse(descriptor, path, entry)
            if entry.uid or entry.gid:
                os.fchown(descriptor, entry.uid, entry.gid)
            os.fchmod(descriptor, entry.mode)
            if entry.xattrs:
                _set_xattrs(descriptor, entry)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)

    def _charge(self, entry: Entry) -> None:
        self._result.size += entry.real_size
        self._budget -= entry.size
        if self._budget < 0 or entry.real_size > self._limits.layer_bytes:
            raise ImageError(
                f"the layer needs more room than there is for it (at {entry.shown()!r}, {self._result.size} bytes so far)",
                hint="free some disk space, or raise limits.layer_bytes in registries.toml if this is meant",
            )

    def _write(self, descriptor: int, path: bytes, entry: Entry) -> None:
        for piece in self._tar.body():
            _write_all(descriptor, piece)
        if entry.size:
            self._ordinal = self._recorder.file(path, 0, entry.size) + 1

    def _write_sparse(self, descriptor: int, path: bytes, entry: Entry) -> None:
        pieces = entry.sparse.pieces if entry.sparse else ()
        os.ftruncate(descriptor, entry.real_size)
        plan = iter([p for p in pieces if p[1]])
        offset, room, start = 0, 0, 0
        for piece in self._tar.body():  # pieces of the map and of the stream do not fall together: a cursor walks both
            at = 0
            while at < len(piece):
                if not room:
                    offset, room = next(plan, (0, 0))
                    if not room or offset + room > entry.real_size:
                        raise ImageError(f"the sparse file {entry.shown()!r} has a map that does not fit its content", hint=_HOSTILE)
                    start = offset
                part = piece[at : at + room]
                os.pwrite(descriptor, part, offset)
                at, offset, room = at + len(part), offset + len(part), room - len(part)
                if not room:
                    self._ordinal = self._recorder.file(path, start, offset - start) + 1
        if room or next(plan, None) is not None:
            raise ImageError(f"the sparse file {entry.shown()!r} has a map that does not fit its content", hint=_HOSTILE)

    def _hard_link(self, path: bytes, parent: int, name: bytes, entry: Entry) -> None:
        target = clean(entry.link, self._limits)
        if target == path or not target:
            raise ImageError(f"layer entry {entry.shown()!r} is a hard link to itself", hint=_HOSTILE)
        source, source_name = self._tree.parent(target)
        source = os.dup(source)
        try:
            parent, name = self._tree.parent(path)
            os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise ImageError(
                f"layer entry {entry.shown()!r} is a hard link to {target[:200]!r}, which the layer does not hold", hint=_HOSTILE
            ) from None
        finally:
            os.close(source)

    def _metadata_by_name(self, parent: int, name: bytes, entry: Entry, *, link: bool) -> None:
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if not link:
            os.chmod(name, entry.mode, dir_fd=parent)
        for key, value in entry.xattrs:
            path = os.fsencode(f"/proc/self/fd/{parent}/") + name
            os.setxattr(path, _xattr_name(key, entry), value, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _whiteout(self, path: bytes, entry: Entry) -> None:
        head, _, name = path.rpartition(b"/")
        if entry.kind != b"0":
            raise ImageError(f"whiteout {entry.shown()!r} is not a regular file", hint=_HOSTILE)
        if name == OPAQUE_MARKER:
            os.setxattr(self._tree.directory(head), OPAQUE_XATTR, b"y")
            return
        if name.startswith(_AUFS_PREFIX):
            return  # aufs' own bookkeeping (.wh..wh.plnk …), never part of an image
        hidden = name[len(WHITEOUT_PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise ImageError(f"whiteout {entry.shown()!r} names nothing inside its directory", hint=_HOSTILE)
        self._hide(self._tree.directory(head), hidden)

    def _hide(self, parent: int, hidden: bytes) -> None:
        try:
            os.mknod(hidden, 0o020000, os.makedev(0, 0), dir_fd=parent)
        except FileExistsError:
            # the same layer brings a new one of that name: it hides the old file by itself, a directory has to be told to
            if _is_directory(parent, hidden):
                descriptor = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
                try:
                    os.setxattr(descriptor, OPAQUE_XATTR, b"y")
                finally:
                    os.close(descriptor)


def _node_mode(entry: Entry) -> int:
    if entry.kind == b"6":
        return 0o010600
    if entry.kind == b"3" and entry.device in _HARMLESS:
        return 0o020600
    what = "block" if entry.kind == b"4" else "character"
    raise ImageError(
        f"layer entry {entry.shown()!r} is a device ({what} {entry.device[0]}:{entry.device[1]}) that no image may bring", hint=_HOSTILE
    )


def _set_xattrs(descriptor: int, entry: Entry) -> None:
    for key, value in entry.xattrs:
        try:
            os.setxattr(descriptor, _xattr_name(key, entry), value)
        except OSError as error:
            if (
                error.errno != errno.ENOTSUP or key == b"security.capability"
            ):  # what this file system does not know is dropped, as Docker does
                raise


def _xattr_name(key: bytes, entry: Entry) -> bytes:
    if key.startswith((b"trusted.", b"user.overlay.", b"security.ima", b"security.evm")):
        raise ImageError(f"layer entry {entry.shown()!r} sets {key.decode('utf-8', 'replace')}, which belongs to the kernel", hint=_HOSTILE)
    return key


def _is_directory(parent: int, name: bytes) -> bool:
    return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & 0o170000 == 0o040000


def _write_all(descriptor: int, piece: memoryview) -> None:
    written = os.write(descriptor, piece)
    while written < len(piece):
        written += os.write(descriptor, piece[written:])


def _free_inodes(descriptor: int) -> int:
    found = os.fstatvfs(descriptor)
    return found.f_favail if found.f_files else 1 << 60  # some file systems make inodes as they go and say 0


def _free_bytes(descriptor: int) -> int:
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize
