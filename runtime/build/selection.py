"""What a COPY takes from a context, and what names it: enough to tell later, cheaply, whether that changed. Only reads."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable

from runtime.build.fingerprint import fingerprint
from runtime.build.ignore import of_patterns
from runtime.build.inputs import Input
from runtime.build.select import Selected, is_wildcard, select
from runtime.build.view import Node, View
from runtime.record import dataclass

Excluded = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One instruction's files out of the context ``context`` ("" is the build's own); ``digest`` names what they were."""

    context: str
    words: tuple[str, ...]
    parents: bool = False
    exclude: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One file of a selection; ``base`` is the directory below which ``--parents`` keeps paths, or None."""

    selected: Selected
    base: str | None = None


def choose(view: View, word: str, *, parents: bool) -> list[Chosen]:
    """The files that one source means. Raises FileNotFoundError."""
    if parents:
        base, selected = pivot(view, word)
        return [Chosen(s, base) for s in selected]
    return [Chosen(s) for s in select(view, word)]


def named(tree: Input, chosen: Chosen, excluded: Excluded | None) -> list[object]:
    """What decides a copy of the file: kind, name as far as it matters, content."""
    node = chosen.selected.node
    name = node.name if chosen.base is not None else "" if node.is_directory else chosen.selected.name
    return [node.is_directory, name, fingerprint(tree.view, node, tree.contents, excluded=excluded, inside=chosen.base is None)]


def digest(tree: Input, selection: Selection) -> str:
    """What the selection is now; "" when something of it is gone."""
    excluded = exclusion(selection.exclude)
    try:
        names = [named(tree, c, excluded) for word in selection.words for c in choose(tree.view, word, parents=selection.parents)]
    except (FileNotFoundError, ValueError):
        return ""
    return digest_of(names)


def digest_of(names: list[list[object]]) -> str:
    """The digest of what ``named`` said."""
    return hashlib.sha256(json.dumps(names, ensure_ascii=False).encode("utf-8", "surrogateescape")).hexdigest()


def exclusion(patterns: tuple[str, ...]) -> Excluded | None:
    """The rule of ``--exclude``. Raises BuildError for a malformed pattern."""
    rule = of_patterns(patterns, "--exclude") if patterns else None
    return None if rule is None else (lambda name: rule.hidden(name, False))


def pivot(view: View, source: str) -> tuple[str, list[Selected]]:
    """``--parents``: (the directory below which paths are kept, what is selected). ``**`` matches any number of directories."""
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
