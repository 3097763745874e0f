"""The grammar of ``${…}``: parse and evaluate one text against a lookup. Pure; used for Compose files and for .env files.

``$$`` is a dollar, ``$NAME`` and ``${NAME}`` a variable, ``${NAME:-default}``, ``${NAME-default}``, ``${NAME:?message}``, ``${NAME?message}``,
``${NAME:+other}``, ``${NAME+other}`` its variants; what follows the operator is a template itself, evaluated only when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from runtime.record import dataclass

Lookup = Callable[[str], "str | None"]

_NAME = re.compile(r"[_A-Za-z][_A-Za-z0-9]*")
_DEEPEST = 100


class InvalidTemplate(Exception):
    """The text is no template; ``offset`` says where."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(f"invalid interpolation format: {text!r}")
        self.text = text
        self.offset = offset


class MissingVariable(Exception):
    """A variable that the text requires is not set."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"required variable {name} is missing a value" + (f": {message}" if message else ""))
        self.name = name


@dataclass(frozen=True, slots=True)
class Variable:
    """One use of a variable: its operator ("" for none) and the text after it."""

    name: str
    operator: str
    rest: str


def parts(text: str) -> Iterator[str | Variable]:
    """Literal texts and variables, in order. Raises InvalidTemplate."""
    position = 0
    while True:
        dollar = text.find("$", position)
        if dollar < 0 or dollar + 1 >= len(text):
            yield text[position:]
            return
        if dollar > position:
            yield text[position:dollar]
        after = text[dollar + 1]
        if after == "$":
            yield "$"
            position = dollar + 2
        elif after == "{":
            end = _closing(text, dollar + 1)
            yield _braced(text, dollar, end)
            position = end + 1
        elif name := _NAME.match(text, dollar + 1):
            yield Variable(name[0], "", "")
            position = name.end()
        else:
            yield "$"
            position = dollar + 1


def _closing(text: str, opening: int) -> int:
    depth = 0
    for index in range(opening, len(text)):
        char = text[index]
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return index
    raise InvalidTemplate(text, opening - 1)


def _braced(text: str, dollar: int, end: int) -> Variable:
    name = _NAME.match(text, dollar + 2, end)
    if name is None:
        raise InvalidTemplate(text[dollar : end + 1], dollar)
    at = name.end()
    if at == end:
        return Variable(name[0], "", "")
    operator = text[at : at + 2] if text[at] == ":" else text[at]
    if operator[-1] not in "-?+" or at + len(operator) > end:
        raise InvalidTemplate(text[dollar : end + 1], dollar)
    return Variable(name[0], operator, text[at + len(operator) : end])


def substitute(text: str, lookup: Lookup, unset: Callable[[str], None] | None = None, depth: int = 0) -> str:
    """``text`` with its variables replaced; ``unset`` hears of plain uses of unset ones. Raises InvalidTemplate, MissingVariable."""
    if "$" not in text:
        return text
    if depth > _DEEPEST:
        raise InvalidTemplate(text[:80], 0)
    return "".join(part if isinstance(part, str) else _evaluate(part, lookup, unset, depth) for part in parts(text))


def _evaluate(variable: Variable, lookup: Lookup, unset: Callable[[str], None] | None, depth: int) -> str:
    value = lookup(variable.name)
    present = bool(value) if variable.operator[:1] == ":" else value is not None
    match variable.operator[-1:]:
        case "-" if not present:
            return substitute(variable.rest, lookup, unset, depth + 1)
        case "?" if not present:
            raise MissingVariable(variable.name, substitute(variable.rest, lookup, unset, depth + 1))
        case "+":
            return substitute(variable.rest, lookup, unset, depth + 1) if present else ""
        case "" if value is None and unset is not None:
            unset(variable.name)
        case _:
            pass
    return value or ""


def variables(text: str) -> Iterator[Variable]:
    """Every variable that ``text`` mentions, nested ones too. Raises InvalidTemplate."""
    for part in parts(text):
        if isinstance(part, Variable):
            yield part
            if part.rest and "$" in part.rest:
                yield from variables(part.rest)
