"""The part of Go's text/template that ``--format`` is used with: fields, pipes, and Docker's functions. Pure; in the command's process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from compose.errors import UsageError
from runtime.record import dataclass

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`|\||[^\s|]+')


@dataclass(frozen=True, slots=True)
class Template:
    """Literal texts and actions, in turn; an action is a pipeline of commands, a command a list of words."""

    parts: tuple[str | tuple[tuple[str, ...], ...], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template. Raises UsageError for actions that are not supported."""
        parts: list[str | tuple[tuple[str, ...], ...]] = []
        position = 0
        for found in _ACTION.finditer(text):
            parts += [text[position : found.start()], _pipeline(found.group(1))]
            position = found.end()
        rest = text[position:]
        if "{{" in rest or not text:
            raise UsageError(f"template parsing error: unclosed action in {text!r}", hint="an action looks like {{.Name}}")
        return cls((*parts, rest))

    def render(self, row: Mapping[str, object]) -> str:
        """The text for one row. Raises UsageError for unknown fields."""
        return "".join(p if isinstance(p, str) else _text(_run(p, row)) for p in self.parts)

    def heading(self, headings: Mapping[str, str]) -> str:
        """The heading line: every action replaced by the heading of its first field."""
        return "".join(p if isinstance(p, str) else _heading(p, headings) for p in self.parts)


def _pipeline(action: str) -> tuple[tuple[str, ...], ...]:
    commands: list[list[str]] = [[]]
    for word in _WORD.findall(action):
        if word == "|":
            commands.append([])
        else:
            commands[-1].append(word)
    for command in commands:
        first = command[0] if command else "|"
        if not first.startswith((".", '"', "`")) and first not in _FUNCTIONS:
            known = ", ".join(sorted(_FUNCTIONS))
            raise UsageError(f"template parsing error: {first!r} is not supported", hint=f"fields (.Name) and {known} are")
    return tuple(tuple(c) for c in commands)


def _run(pipeline: Sequence[Sequence[str]], row: Mapping[str, object]) -> object:
    value: object = None
    for index, (word, *words) in enumerate(pipeline):
        arguments = [_value(w, row) for w in words] + ([value] if index else [])
        if word == ".Label":
            value = _labels(row).get(_text(arguments[0]) if arguments else "", "")
        elif word in _FUNCTIONS:
            value = _called(word, arguments)
        else:
            value = _value(word, row)
    return value


def _called(name: str, arguments: list[object]) -> object:
    try:
        return _FUNCTIONS[name](*arguments)
    except (TypeError, ValueError, IndexError) as error:
        raise UsageError(f"template: {name}: {error}") from None


def _value(word: str, row: Mapping[str, object]) -> object:
    if word == ".":
        return dict(row)
    if word.startswith('"'):
        return json.loads(word)
    if word.startswith("`"):
        return word[1:-1]
    if word.isdigit():
        return int(word)
    name = word.removeprefix(".")
    if name not in row:
        from compose.cli.group import nearest

        raise UsageError(f"template: no field {word}", hint=nearest(name, list(row)) or f"there are {', '.join(sorted(row))}")
    return row[name]


def _labels(row: Mapping[str, object]) -> dict[str, str]:
    pairs = (p.partition("=") for p in _text(row.get("Labels", "")).split(","))
    return {key: value for key, _, value in pairs}


def _heading(pipeline: Sequence[Sequence[str]], headings: Mapping[str, str]) -> str:
    words = [w for command in pipeline for w in command]
    if words[0] == ".Label" and len(words) > 1:
        return words[1].strip('"')
    return next((headings.get(w[1:], w[1:].upper()) for w in words if w.startswith(".")), "")


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{' '.join(_text(v) for v in value)}]"
        case _:
            return str(value)


_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "json": lambda v: json.dumps(v, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
    "lower": lambda v: _text(v).lower(),
    "upper": lambda v: _text(v).upper(),
    "title": lambda v: _text(v).title(),
    "len": len,
    "join": lambda v, separator: separator.join(_text(x) for x in v),
    "split": lambda v, separator: _text(v).split(separator),
    "truncate": lambda v, width: _text(v)[:width],
    "println": lambda *v: " ".join(_text(x) for x in v) + "\n",
    "print": lambda *v: "".join(_text(x) for x in v),
}
