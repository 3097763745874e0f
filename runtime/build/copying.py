"""COPY: files of a view into a layer, with BuildKit's rules (fsutil, copy.Copy). Runs in worker threads of the command's process."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import field

from runtime.build.contents import Contents
from runtime.build.fingerprint import attributes
from runtime.build.modes import Mode
from runtime.build.select import Selected
from runtime.build.view import Node, View
from runtime.build.writer import LayerWriter, whole_seconds
from runtime.errors import BuildError
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """``owner`` and ``mode`` None keep the source's; ``included`` says which names relative to a copied directory are taken."""

    owner: tuple[int, int] | None = None
    mode: Mode | None = None
    excluded: Callable[[str], bool] | None = None
    contents: Contents | None = None


@dataclass(slots=True)
class Copier:
    """Copies one view's files into one layer; hard links among what is copied at once stay links."""

    view: View
    writer: LayerWriter
    options: CopyOptions
    links: dict[tuple[int, int], str] = field(default_factory=dict)

    def copy(self, selected: Selected, target: str) -> None:
        """Copy a file to ``target``, or a directory's content into it. A ``target`` that ends with / or is a directory takes files by name."""
        self.links.clear()
        into = target.endswith("/")
        options = self.options
        parent = target if into or selected.node.is_directory else target.rpartition("/")[0]
        name = self.writer.directory(parent, owner=options.owner, mode=options.mode)
        if selected.node.is_directory:
            self._entries(selected.node, name, "")
            self._times(selected.node, name)
            return
        if options.excluded is not None and options.excluded(selected.name):
            return
        place = self._file_target(target, name, selected.name, into=into)
        self.entry(selected.node, place, selected.name)

    def _file_target(self, target: str, parent: str, name: str, *, into: bool) -> str:
        if into:
            return _join(parent, name)
        last = target.rpartition("/")[2]
        located = self.writer.view.locate(_join(parent, last))
        if located.node is not None and located.node.is_directory:
            return _join(self.writer.directory(located.name), name)
        directory, _, final = located.name.rpartition("/")
        return _join(self.writer.directory(directory), final)

    def entry(self, node: Node, target: str, name: str) -> None:
        """Copy a file, or a directory with what it holds, to ``target`` itself; ``name`` is what exclusions are told."""
        if node.is_directory:
            self._directory(node, target, name)
            return
        if not self.writer.is_fresh(target.rpartition("/")[0]):
            self._refuse_directory(target)
        if self._linked(node, target):
            return
        if node.is_file:
            self._file(node, target)
        else:
            self._create(node, target)
            self.metadata(node, target)

    def _refuse_directory(self, target: str) -> None:
        existing = self.writer.existing(target)
        if existing is not None and existing.is_directory:
            raise BuildError(f"cannot replace the directory /{target} with a file", hint="end the target with / to copy into the directory")

    def _file(self, node: Node, target: str) -> None:
        bits = stat.S_IMODE(node.stat.st_mode)
        mode = self.options.mode.change(bits, False) if self.options.mode else bits
        after = self.writer.file(
            target, node.path, node.stat, mode, self.options.owner or self.view.owner_of(node), attributed=self.view.attributed
        )
        if self.options.contents is not None and self.options.contents.differs(node.path, after):
            raise BuildError(f"{node.name} changed while it was being copied", hint="build again when nothing writes to the context")

    def _directory(self, node: Node, target: str, name: str) -> None:
        existing = self.writer.existing(target)
        if existing is not None and not existing.is_directory:
            raise BuildError(f"cannot copy to non-directory: /{target}")
        place = self.writer.subdirectory(target, new=existing is None)
        self._entries(node, place, name)
        self.metadata(node, place)

    def _entries(self, node: Node, target: str, name: str) -> None:
        for child in self.view.children(node):
            last = child.name.rpartition("/")[2]
            below = _join(name, last)
            if self.options.excluded is None or not self.options.excluded(below):
                self.entry(child, _join(target, last), below)

    def _linked(self, node: Node, target: str) -> bool:
        if not node.is_file or node.stat.st_nlink < 2:
            return False
        first = self.links.setdefault((node.stat.st_dev, node.stat.st_ino), target)
        if first == target:
            return False
        self.writer.make_way(target)
        os.link(self.writer.host(first), self.writer.host(target))
        return True

    def _create(self, node: Node, target: str) -> None:
        self.writer.make_way(target)
        path = self.writer.host(target)
        if node.is_link:
            os.symlink(os.readlink(node.path), path)
        elif not stat.S_ISSOCK(node.stat.st_mode):
            os.mknod(path, node.stat.st_mode, node.stat.st_rdev)
        else:
            raise BuildError(f"{node.name}: a socket cannot be copied", hint="name it in .dockerignore")

    def metadata(self, node: Node, target: str) -> None:
        """Owner, mode, extended attributes and times, as the source has them or the options say."""
        path, found = self.writer.host(target), node.stat
        os.chown(path, *(self.options.owner or self.view.owner_of(node)), follow_symlinks=False)
        if not node.is_link:
            bits = stat.S_IMODE(found.st_mode)
            os.chmod(path, self.options.mode.change(bits, node.is_directory) if self.options.mode else bits)
        for key, value in attributes(node.path) if self.view.attributed else ():
            os.setxattr(path, key, value, follow_symlinks=False)
        os.utime(path, ns=whole_seconds(found), follow_symlinks=False)

    def _times(self, node: Node, target: str) -> None:
        os.utime(self.writer.host(target), ns=whole_seconds(node.stat))


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory and name else directory or name
