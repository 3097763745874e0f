"""A directory that entries of a layer are written into, and nothing outside it: every step goes by directory descriptor and O_NOFOLLOW.

Names come as bytes from a tar. ``..``, absolute names and symlinks that lead out are refused; a relative symlink inside the layer that
stands for a directory is followed by hand, component by component. Runs where layers are unpacked.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import OrderedDict

from runtime.errors import ImageError
from runtime.images.limits import Limits

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORIES = 128
_MAX_LINKS = 40


def clean(name: bytes, limits: Limits) -> bytes:
    """The name relative to the layer's root without ``.`` and doubled slashes; b"" is the root itself. Raises ImageError for hostile ones."""
    if name in (b"/", b".", b"./"):
        return b""
    if name.startswith(b"/"):
        raise _refused(name, "has an absolute path")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise _refused(name, "climbs out with '..'")
    if len(parts) > limits.depth or len(name) > limits.path + 1:
        raise _refused(name, f"is nested deeper than {limits.depth} directories or longer than {limits.path} bytes")
    if not parts:
        raise _refused(name, "has no name")
    return b"/".join(parts)


class Tree:
    """Open directories of one layer, by path. ``root`` is a descriptor of the layer's root; ``replaced`` one of where hidden entries go."""

    def __init__(self, root: str, replaced: str) -> None:
        self.root = os.open(root, _DIRECTORY)
        self.replaced_path = replaced
        self.moves: list[tuple[int, bytes, int]] = []
        self.implied: list[bytes] = []
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def close(self) -> None:
        """Close every descriptor."""
        self.forget(b"")
        os.close(self.root)

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """(descriptor of the directory that holds ``path``, last component); missing directories are made, 0755 root:root."""
        head, _, name = path.rpartition(b"/")
        return self.directory(head), name

    def directory(self, path: bytes) -> int:
        """A descriptor of the directory ``path``, good until the next call."""
        if not path:
            return self.root
        found = self._open.get(path)
        if found is not None:
            self._open.move_to_end(path)
            return found
        return self._remember(path, self._descend(path))

    def forget(self, path: bytes) -> None:
        """Close descriptors at and below ``path``, which is about to go."""
        for known in [k for k in self._open if not path or k == path or k.startswith(path + b"/")]:
            os.close(self._open.pop(known))

    def displace(self, path: bytes, parent: int, name: bytes, ordinal: int) -> None:
        """Move what an earlier entry of the same tar put at ``path`` aside, so that the tar can still be written again."""
        self.forget(path)
        os.makedirs(self.replaced_path, mode=0o700, exist_ok=True)
        number = len(self.moves)
        os.rename(name, os.path.join(os.fsencode(self.replaced_path), str(number).encode()), src_dir_fd=parent)
        self.moves.append((ordinal, path, number))

    def _remember(self, path: bytes, descriptor: int) -> int:
        if len(self._open) >= _OPEN_DIRECTORIES:
            os.close(self._open.popitem(last=False)[1])
        self._open[path] = descriptor
        return descriptor

    def _descend(self, path: bytes) -> int:
        head, _, name = path.rpartition(b"/")
        parent = self.directory(head)
        try:
            return os.open(name, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            os.mkdir(name, 0o755, dir_fd=parent)
            os.chmod(name, 0o755, dir_fd=parent)
            self.implied.append(path)
            return os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                return self._through_link(path, parent, name)
            raise

    def _through_link(self, path: bytes, parent: int, name: bytes) -> int:
        if not stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise _refused(path, "is used as a directory, but is none")
        resolved = self.resolve(path, _MAX_LINKS)
        return os.dup(self.directory(resolved)) if resolved else os.dup(self.root)

    def resolve(self, path: bytes, budget: int) -> bytes:
        """``path`` with symlinks replaced by what they stand for; raises ImageError when one leads out or round in circles."""
        done: list[bytes] = []
        parts = path.split(b"/")
        while parts:
            part = parts.pop(0)
            if part in (b"", b"."):
                continue
            if part == b"..":
                if not done:
                    raise _refused(path, "goes through a symbolic link that leaves the layer")
                done.pop()
                continue
            target = self._link_target(b"/".join([*done, part]))
            if target is None:
                done.append(part)
                continue
            budget -= 1
            if target.startswith(b"/") or budget < 0:
                raise _refused(
                    path, "goes through a symbolic link that leaves the layer" if budget >= 0 else "goes round in symbolic links"
                )
            parts = target.split(b"/") + parts
        return b"/".join(done)

    def _link_target(self, path: bytes) -> bytes | None:
        head, _, name = path.rpartition(b"/")
        try:
            return os.readlink(name, dir_fd=self.directory(head))
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise


def remove_tree(path: str) -> None:
    """Remove a directory of ours with everything in it; already gone is success."""
    shutil.rmtree(path, ignore_errors=True)


def _refused(name: bytes, why: str) -> ImageError:
    shown = name[:200].decode("utf-8", "backslashreplace")
    return ImageError(f"layer entry {shown!r} {why}", hint="this layer is malformed or hostile; nothing of it was kept")
