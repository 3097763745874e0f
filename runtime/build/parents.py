"""``COPY --parents``: sources keep the directories above them, down from an optional pivot ``/./``. In worker threads of the command's process."""

from __future__ import annotations

from runtime.build.copying import Copier
from runtime.build.select import Selected


def copy_with_parents(copier: Copier, selected: Selected, base: str, target: str) -> None:
    """Copy ``selected`` to the same path below ``target`` that it has below ``base``; directories above it take their source's attributes."""
    relative = selected.node.name[len(base) :].lstrip("/")
    root = copier.writer.directory(target, owner=copier.options.owner, mode=copier.options.mode)
    done, parts = "", relative.split("/")
    for part in parts[:-1]:
        done = f"{done}/{part}" if done else part
        _parent(copier, f"{base}/{done}".lstrip("/"), f"{root}/{done}".lstrip("/"))
    copier.entry(selected.node, f"{root}/{relative}".lstrip("/"), selected.name)


def _parent(copier: Copier, source: str, target: str) -> None:
    new = copier.writer.existing(target) is None
    copier.writer.directory(target, owner=copier.options.owner, mode=copier.options.mode)
    node = copier.view.locate(source).node
    if new and node is not None:
        copier.metadata(node, target)
