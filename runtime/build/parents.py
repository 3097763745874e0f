"""``COPY --parents``: sources keep the directories above them, down from an optional pivot ``/./``. In worker threads of the command's process."""

from __future__ import annotations

import posixpath

from runtime.build.copying import Copier
from runtime.build.ignore import of_patterns
from runtime.build.select import Selected, is_wildcard
from runtime.build.view import Node, View


def pivot(view: View, source: str) -> tuple[str, list[Selected]]:
    """(the directory below which paths are kept, what is selected). ``**`` matches any number of directories. Raises FileNotFoundError."""
    head, dot, tail = source.partition("/./")
    base_name, pattern = (head, tail) if dot else ("", source)
    base = view.locate(base_name)
    if base.node is None:
        raise FileNotFoundError(base_name)
    pattern = posixpath.normpath("/" + pattern).lstrip("/")
    if not is_wildcard(pattern):
        found = view.locate(f"{base.name}/{pattern}", follow=False)
        if found.node is None:
            raise FileNotFoundError(source)
        return base.name, [Selected(posixpath.basename(pattern), found.node)]
    return base.name, _matching(view, base.node, pattern)


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


def _matching(view: View, base: Node, pattern: str) -> list[Selected]:
    rule = of_patterns([pattern], "--parents")
    found: list[Selected] = []

    def descend(node: Node) -> None:
        for child in view.children(node):
            relative = child.name[len(base.name) :].lstrip("/")
            if rule is not None and rule.hidden(relative, child.is_directory):
                found.append(Selected(posixpath.basename(child.name), child))
            elif child.is_directory:
                descend(child)

    descend(base)
    return found


