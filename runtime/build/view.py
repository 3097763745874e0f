"""Files as a build sees them: overlay layers merged without mounting them, or a context directory behind its ignore file. Only reads.

Paths are looked up component by component inside the root and symbolic links are followed within it, as in a chroot. Layers are in
overlayfs' own form: a character device 0:0 hides a name, ``trusted.overlay.opaque`` hides all that lies below a directory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from runtime.errors import BuildError
from runtime.record import dataclass

OPAQUE = "trusted.overlay.opaque"
_MAX_LINKS = 255
_KIND = 0o170000


@dataclass(frozen=True, slots=True)
class Node:
    """One file. ``name`` is its path inside the view without a leading slash, ``path`` its place on the host.

    ``merged`` are the host directories that make up a directory, the topmost first.
    """

    name: str
    path: str
    stat: os.stat_result
    merged: tuple[str, ...] = ()

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory (a link to one is none)."""
        return stat.S_ISDIR(self.stat.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.stat.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.stat.st_mode)


@dataclass(frozen=True, slots=True)
class Located:
    """Where a path leads: ``name`` inside the view, all links followed, and what is there, if anything is."""

    name: str
    node: Node | None


class View:
    """A merged tree of ``layers``, lowest first. ``hidden`` says which names are left out (a context's ignore file).

    ``owner`` overrides every file's owner: files of a context belong to root, and their extended attributes count for nothing, as with Docker.
    """

    def __init__(
        self,
        layers: Sequence[str],
        *,
        hidden: Callable[[str, bool], bool] | None = None,
        may_hold: Callable[[str], bool] | None = None,
        owner: tuple[int, int] | None = None,
    ) -> None:
        self.layers = tuple(layers)
        self.owner = owner
        self._hidden = hidden
        self._may_hold = may_hold

    @property
    def root(self) -> Node | None:
        """The root directory; None when there are no layers."""
        if not self.layers:
            return None
        merged = tuple(reversed(self.layers))
        return Node("", merged[0], os.stat(merged[0]), merged)

    @property
    def attributed(self) -> bool:
        """Whether extended attributes of its files count."""
        return self.owner is None

    def owner_of(self, node: Node) -> tuple[int, int]:
        """(uid, gid)."""
        return self.owner or (node.stat.st_uid, node.stat.st_gid)

    def child(self, parent: Node, name: str) -> Node | None:
        """The entry ``name`` of a directory, links not followed."""
        found = self._merge(parent, name)
        return found if found is not None and self._visible(found) else None

    def children(self, parent: Node) -> list[Node]:
        """The entries of a directory, sorted by name."""
        if len(parent.merged) == 1:
            return self._listed(parent)
        names: set[str] = set()
        for directory in parent.merged:
            names.update(os.listdir(directory))
        found = (self.child(parent, name) for name in sorted(names))
        return [node for node in found if node is not None]

    def _listed(self, parent: Node) -> list[Node]:
        """``children`` of a directory that only one layer has: nothing is merged. The way of large contexts, so it does without calls."""
        directory, base = parent.merged[0], f"{parent.name}/" if parent.name else ""
        found = []
        for name in sorted(os.listdir(directory)):
            path = f"{directory}/{name}"
            try:
                held = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if held.st_mode & _KIND == stat.S_IFCHR and held.st_rdev == 0:
                continue
            node = Node(base + name, path, held, (path,) if held.st_mode & _KIND == stat.S_IFDIR else ())
            if self._hidden is None or self._visible(node):
                found.append(node)
        return found

    def locate(self, path: str, *, follow: bool = True) -> Located:
        """What ``path`` leads to; ``follow`` also follows a link that is the last component. Raises BuildError for circles."""
        parts = [p for p in path.split("/") if p not in ("", ".")]
        done: list[tuple[str, Node | None]] = [("", self.root)]
        budget = _MAX_LINKS
        while parts:
            part = parts.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done[1:] = done[1:-1]
                continue
            parent = done[-1][1]
            node = self.child(parent, part) if parent is not None and parent.is_directory else None
            if node is not None and node.is_link and (parts or follow):
                budget -= 1
                if budget < 0:
                    raise BuildError(f"{path}: {os.strerror(errno.ELOOP)}")
                target = os.readlink(node.path)
                done = done[:1] if target.startswith("/") else done
                parts = target.split("/") + parts
                continue
            done.append((part, node))
        return Located("/".join(name for name, _ in done[1:]), done[-1][1])

    def read(self, path: str, limit: int = 8 << 20) -> bytes | None:
        """The content of a regular file, links followed; None when there is none."""
        node = self.locate(path).node
        if node is None or not node.is_file:
            return None
        with open(node.path, "rb") as file:
            return file.read(limit)

    def _merge(self, parent: Node, name: str) -> Node | None:
        first: tuple[str, os.stat_result] | None = None
        merged: list[str] = []
        for index, directory in enumerate(parent.merged):
            path = f"{directory}/{name}"
            try:
                found = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if _is_whiteout(found):
                break
            if not stat.S_ISDIR(found.st_mode):
                first = first or (path, found)
                break
            first = first or (path, found)
            merged.append(path)
            if index + 1 < len(parent.merged) and _is_opaque(path):
                break
        if first is None:
            return None
        return Node(f"{parent.name}/{name}" if parent.name else name, first[0], first[1], tuple(merged))

    def _visible(self, node: Node) -> bool:
        if self._hidden is None or not self._hidden(node.name, node.is_directory):
            return True
        if not node.is_directory or self._may_hold is None or not self._may_hold(node.name):
            return False
        return bool(self.children(node))


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
