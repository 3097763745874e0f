"""The first phase: the text of a Compose file becomes trees of plain values that know their places, one per YAML document.

Runs in the command's process, on PyYAML's C parser. Refused here: duplicate keys, keys that are not strings, alias bombs, syntax errors.
``!reset`` and ``!override`` are taken out of the tree and noted as paths.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import field

import yaml

from compose.errors import LoadError, Position, Problem
from compose.loader.scalars import resolve
from compose.schema.base import Locate
from compose.schema.tree import Map, Origin, Seq, Timestamp, Value, path_text
from runtime.record import dataclass

Path = tuple[str | int, ...]
Pending = tuple[Map | Seq, str | int, Path]  # a container, the key of a string with a '$' in it, and its path

_MOST_ALIASED = 400_000
_DEEPEST = 200
_TAG = "tag:yaml.org,2002:"
_UNRESOLVED = "?"


class _Loader(yaml.CSafeLoader):
    """Composes nodes without resolving scalars: an empty tag means that none was written."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: object) -> str:
        return _UNRESOLVED


@dataclass(slots=True)
class Document:
    """One YAML document: its tree, what ``!reset`` and ``!override`` point at, and the strings that may hold expressions."""

    tree: Map
    resets: list[Path] = field(default_factory=list)
    overrides: list[Path] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)


class Sources:
    """The texts of the files read so far, to show a line under a message."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}

    def line(self, file: str, number: int) -> str:
        """Line ``number`` (from 0) of a file."""
        if file not in self._lines:
            self._lines[file] = self.texts.get(file, "").splitlines()
        lines = self._lines[file]
        return lines[number] if number < len(lines) else ""

    def locate(self, origin: Origin | None) -> Position | None:
        """The position of a node."""
        if origin is None:
            return None
        mark = origin.start_mark
        name = mark.name or ""
        return Position(name, mark.line + 1, mark.column + 1, self.line(name, mark.line))


class _Named(io.StringIO):
    name = ""


def read(text: str, file: str, sources: Sources) -> list[Document]:
    """The documents of one file. Raises LoadError."""
    sources.texts[file] = text
    _refuse_deep(text, file)
    stream = _Named(text)
    stream.name = file
    documents: list[Document] = []
    try:
        loader = _Loader(stream)
        try:
            while loader.check_node():
                node = loader.get_node()
                if node is not None and (documents or not _is_nothing(node) or loader.check_node()):
                    documents += _Tree(sources.locate).document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as e:
        raise LoadError(_syntax(e, file, sources)) from None
    except RecursionError:
        raise LoadError(Problem(path="", message=f"nested deeper than {_DEEPEST} levels", position=Position(file, 1, 1))) from None
    return documents


def _is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null")


def _refuse_deep(text: str, file: str) -> None:
    """The C parser recurses: refuse what would exhaust its stack before it sees it."""
    depth = 0
    for number, line in enumerate(text.splitlines() if text.count("[") + text.count("{") + text.count("- -") > _DEEPEST else ()):
        indent = len(line) - len(line.lstrip(" -?"))
        depth = max(0, depth + line.count("[") + line.count("{") - line.count("]") - line.count("}"))
        if depth > 5 * _DEEPEST or line[:indent].count("-") > 5 * _DEEPEST:
            raise LoadError(
                Problem(path="", message=f"nested deeper than {_DEEPEST} levels", position=Position(file, number + 1, 1, line[:200]))
            )


def _syntax(error: yaml.YAMLError, file: str, sources: Sources) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    position = Position(file, mark.line + 1, mark.column + 1, sources.line(file, mark.line)) if mark else Position(file, 1, 1)
    hint = None
    source = position.source.lstrip()
    if "\t" in position.source[: len(position.source) - len(source)]:
        hint = "YAML is indented with spaces, never with tabs"
    elif "found character" in what and "@`%" and source[-1:]:
        hint = "put the text in quotes"
    elif "mapping values are not allowed" in what:
        hint = "put a text that holds ': ' in quotes, or check the indentation"
    message = f"not valid YAML: {what}" + (f" ({context})" if context else "")
    return Problem(path="", message=message, position=position, hint=hint)


class _Tree:
    """Turns nodes into values."""

    def __init__(self, locate: Locate) -> None:
        self.locate: Callable[[Origin | None], Position | None] = locate
        self.memo: dict[str, bool | int | float | str | None] = {}
        self.path: list[str | int] = []
        self.seen: set[int] = set()
        self.open: set[int] = set()
        self.aliased = 0
        self.result = Document(Map())

    def document(self, node: yaml.Node) -> list[Document]:
        """The document under ``node``."""
        if not isinstance(node, yaml.MappingNode):
            raise self.error("the top of a Compose file must be a mapping", node)
        tree = self.mapping(node)
        self.result.tree = tree
        return [self.result]

    def error(self, message: str, node: yaml.Node, hint: str | None = None) -> LoadError:
        return LoadError(Problem(path=path_text(self.path), message=message, position=self.locate(node), hint=hint))

    def enter(self, node: yaml.Node) -> None:
        if id(node) in self.open:
            raise self.error("an anchor contains itself", node)
        if len(self.open) > _DEEPEST:
            raise self.error(f"nested deeper than {_DEEPEST} levels", node)
        if id(node) in self.seen:
            self.aliased += 1 + len(node.value)
            if self.aliased > _MOST_ALIASED:
                raise self.error("aliases expand to too much", node, "an anchor is used inside anchors again and again")
        self.seen.add(id(node))
        self.open.add(id(node))

    def value(self, node: yaml.Node, container: Map | Seq, key: str | int) -> Value:
        if isinstance(node, yaml.ScalarNode):
            value = self.scalar(node)
            if type(value) is str and "$" in value:
                self.result.pending.append((container, key, (*self.path, key)))
            return value
        self.path.append(key)
        result: Value = self.mapping(node) if isinstance(node, yaml.MappingNode) else self.sequence(node)
        self.path.pop()
        return result

    def scalar(self, node: yaml.ScalarNode) -> bool | int | float | str | None:
        tag, text = node.tag, str(node.value)
        if tag == _UNRESOLVED or tag == "!override":
            if node.style and node.style in "'\"|>":
                return text
            memo = self.memo
            if text not in memo:
                memo[text] = resolve(text)
            return memo[text] if tag == _UNRESOLVED else text
        return self.tagged(node, tag.removeprefix(_TAG), text)

    def tagged(self, node: yaml.ScalarNode, tag: str, text: str) -> bool | int | float | str | None:
        if tag not in ("int", "float", "bool", "null", "timestamp", "binary"):
            return text
        if tag == "binary":
            return self.binary(node, text)
        value = resolve(text)
        kinds: dict[str, type | tuple[type, ...]] = {
            "int": int,
            "float": (int, float),
            "bool": bool,
            "null": type(None),
            "timestamp": Timestamp,
        }
        if not isinstance(value, kinds[tag]) or (isinstance(value, bool) and tag != "bool"):
            raise self.error(f"cannot read {text!r} as !!{tag}", node)
        return float(value) if tag == "float" and isinstance(value, int) else value

    def binary(self, node: yaml.ScalarNode, text: str) -> str:
        import base64

        try:
            return base64.b64decode(text).decode("utf-8", "replace")
        except ValueError:
            raise self.error("!!binary holds no base64", node) from None

    def mapping(self, node: yaml.MappingNode) -> Map:
        self.enter(node)
        result = Map(node)
        at = result.at
        merges: list[yaml.Node] = []
        for key_node, value_node in node.value:
            key = self.key(key_node, result, merges, value_node)
            if key is None:
                continue
            at[key] = (key_node, value_node)
            tag = value_node.tag
            if tag == "!reset":
                self.result.resets.append((*self.path, key))
                result[key] = None  # holds the place, so that a twin is still seen
                continue
            if tag == "!override":
                self.result.overrides.append((*self.path, key))
            result[key] = self.value(value_node, result, key)
        if self.result.resets:
            for key in [k for k, v in result.items() if v is None and at[k][1].tag == "!reset"]:  # type: ignore[union-attr]
                result.drop(key)
        for merged in merges:
            self.merge(merged, result)
        self.open.discard(id(node))
        return result

    def key(self, node: yaml.Node, result: Map, merges: list[yaml.Node], value: yaml.Node) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            raise self.error("a key must be a string, not a list or a mapping", node)
        text: str = node.value
        plain = node.tag == _UNRESOLVED and not (node.style and node.style in "'\"|>")
        if plain and text == "<<":
            if merges:
                raise self.error("'<<' is there twice", node, "give '<<' a list: <<: [*a, *b]")
            merges.append(value)
            return None
        if text in result:
            first = self.locate(result.at[text][0])
            raise self.error(
                f"{text!r} is there twice: it is already at line {first.line if first else '?'}", node, "remove one of them, or join them"
            )
        if plain or node.tag.startswith(_TAG):
            resolved = self.scalar(node)
            if type(resolved) is not str:
                where = f"in {path_text(self.path)}" if self.path else "at the top"
                raise self.error(f"non-string key {where}: {text or 'nothing'}", node, f'write it in quotes: "{text}"')
        return text

    def sequence(self, node: yaml.Node) -> Seq:
        self.enter(node)
        result = Seq(node)
        for item in node.value:
            if item.tag == "!reset":
                continue
            value = self.value(item, result, len(result))
            result.add(value, item)
        self.open.discard(id(node))
        return result

    def merge(self, node: yaml.Node, result: Map) -> None:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise self.error("'<<' takes a mapping or a list of mappings", part, "such as <<: *anchor")
            source = self.mapping(part)
            for key in source:
                if key not in result:
                    value = source[key]
                    result.adopt(key, value, source)
                    if type(value) is str and "$" in value:
                        self.result.pending.append((result, key, (*self.path, key)))
