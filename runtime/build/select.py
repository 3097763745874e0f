"""Which files a COPY means: plain paths and wildcards, looked up in a view. Only reads (fsutil, copy.ResolveWildcards)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from runtime.build.view import Node, View
from runtime.record import dataclass

_WILDCARD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class Selected:
    """A file to copy: ``name`` is what it was called (a link's own name), ``node`` what it is (a link's target)."""

    name: str
    node: Node


def select(view: View, source: str) -> list[Selected]:
    """What ``source`` means, links followed. None for a wildcard without a match; FileNotFoundError for a plain path that is not there."""
    plain, pattern = _split(posixpath.normpath("/" + source).lstrip("/"))
    base = view.locate(plain)
    if pattern is None:
        if base.node is None:
            raise FileNotFoundError(source)
        return [Selected(posixpath.basename(plain), base.node)]
    if base.node is None or not base.node.is_directory:
        return []
    return [_followed(view, node) for node in _matches(view, base.node, pattern)]


def matcher(pattern: str) -> re.Pattern[str]:
    """Go's filepath.Match as a regular expression. Raises ValueError for a malformed pattern."""
    out, i = [], 0
    while i < len(pattern):
        character = pattern[i]
        i += 1
        if character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "[":
            end = _class_end(pattern, i)
            out.append("[" + pattern[i:end].replace("[", r"\[") + "]")
            i = end + 1
        elif character == "\\" and i < len(pattern):
            out.append(re.escape(pattern[i]))
            i += 1
        else:
            out.append(re.escape(character))
    return re.compile("".join(out) + r"\Z", re.DOTALL)


def is_wildcard(source: str) -> bool:
    """Whether a source holds a wildcard."""
    return _WILDCARD.search(source) is not None


def _class_end(pattern: str, start: int) -> int:
    i = start + (1 if pattern[start : start + 1] == "^" else 0)
    first = i
    while i < len(pattern) and (pattern[i] != "]" or i == first):
        i += 2 if pattern[i] == "\\" else 1
    if i >= len(pattern):
        raise ValueError(f"syntax error in pattern: {pattern}")
    return i


def _split(source: str) -> tuple[str, str | None]:
    parts = source.split("/")
    for index, part in enumerate(parts):
        if _WILDCARD.search(part):
            return "/".join(parts[:index]), "/".join(parts[index:])
    return source, None


def _matches(view: View, base: Node, pattern: str) -> Iterator[Node]:
    parts = [matcher(part) for part in pattern.split("/")]

    def descend(node: Node, depth: int) -> Iterator[Node]:
        for child in view.children(node):
            if not parts[depth].match(child.name.rpartition("/")[2]):
                continue
            if depth + 1 == len(parts):
                yield child
            elif child.is_directory:
                yield from descend(child, depth + 1)

    yield from descend(base, 0)


def _followed(view: View, node: Node) -> Selected:
    target = view.locate(node.name).node
    if target is None:
        raise FileNotFoundError(node.name)
    return Selected(posixpath.basename(node.name), target)
