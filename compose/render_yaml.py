"""Writes plain values as YAML in the reference's manner: its indentation, its choice of quotes, its order of keys. Pure.

The rules are those of the YAML 1.1 emitter that Compose's library descends from: plain where nothing can be misread (booleans and base-60 numbers of
old included), literal blocks for several lines, single quotes for indicators, double quotes for the rest.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from compose.loader.scalars import resolve
from compose.schema.numbers import float_text

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

_OLD = frozenset(["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"])
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_SIMPLE = re.compile(r"[A-Za-z/_.][A-Za-z0-9_./=+@-]*")
_FIRST = frozenset("#,[]{}&*!|>'\"%@`")
_ESCAPES = {
    "\0": "\\0",
    "\a": "\\a",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    "\x1b": "\\e",
    '"': '\\"',
    "\\": "\\\\",
    "\x85": "\\N",
    "\u2028": "\\L",
    "\u2029": "\\P",
}
_LONGEST_KEY = 128


def write(value: Plain, *, escape: bool = False) -> str:
    """A whole document; ``escape`` doubles the dollars of its values."""
    lines: list[str] = []
    emitter = _Emitter(lines, escape)
    if isinstance(value, dict) and value:
        emitter.mapping(value, 0)
    elif isinstance(value, list) and value:
        emitter.sequence(value, 0)
    else:
        lines.append(emitter.scalar(value, 0) if not isinstance(value, (dict, list)) else "{}" if isinstance(value, dict) else "[]")
    return "\n".join(lines) + "\n"


class _Emitter:
    def __init__(self, lines: list[str], escape: bool) -> None:
        self.lines = lines
        self.escape = escape
        self.memo: dict[str, str] = {}
        self.keys: dict[str, str] = {}

    def mapping(self, value: dict[str, Plain], indent: int, lead: str | None = None) -> None:
        """Entries at ``indent``; the first line starts with ``lead`` when given (an item of a list)."""
        pad = " " * indent
        start = pad if lead is None else lead
        for key, item in value.items():
            text = self.keys.get(key) or self.key(key)
            if len(text.encode()) > _LONGEST_KEY:
                self.lines.append(f"{start}? {text}")
                text, start = "", pad
            self.entry(start + text + ":", item, indent)
            start = pad

    def entry(self, start: str, item: Plain, indent: int) -> None:
        if type(item) is dict and item:
            self.lines.append(start)
            self.mapping(item, indent + 2)
        elif type(item) is list and item:
            self.lines.append(start)
            self.sequence(item, indent + 2)
        else:
            self.lines.append(f"{start} {self.scalar(item, indent + 2)}")

    def sequence(self, value: list[Plain], indent: int, lead: str | None = None) -> None:
        pad = " " * indent + "- "
        start = pad if lead is None else lead + "- "
        for item in value:
            if type(item) is dict and item:
                self.mapping(item, indent + 2, start)
            elif type(item) is list and item:
                self.sequence(item, indent + 2, start)
            else:
                self.lines.append(start + self.scalar(item, indent + 2))
            start = pad

    def scalar(self, value: Plain, indent: int) -> str:
        if type(value) is str:
            return self.text(value, indent)
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return _float(value)
        if isinstance(value, dict):
            return "{}"
        if isinstance(value, list):
            return "[]"
        return str(value)

    def key(self, value: str) -> str:
        """One key, on one line."""
        text = self.keys[value] = quoted(value)
        return text

    def text(self, value: str, indent: int) -> str:
        """One string; ``indent`` is where the lines of a block stand."""
        if "\n" in value and _block_allowed(value):
            text = _literal(value, indent)
            return text.replace("$", "$$") if self.escape else text
        memo = self.memo
        if value not in memo:
            text = quoted(value)
            memo[value] = text.replace("$", "$$") if self.escape else text
        return memo[value]


def _float(value: float) -> str:
    text = float_text(value)
    return {"NaN": ".nan", "+Inf": ".inf", "-Inf": "-.inf", "-0": "-0.0"}.get(text, text)


def quoted(value: str) -> str:
    """A string on one line, in the quotes that it needs."""
    if _SIMPLE.fullmatch(value) and value[0] != "." and value not in _OLD and type(resolve(value)) is str:
        return value
    if "\n" in value or value in _OLD or type(resolve(value)) is not str or _BASE_60.fullmatch(value):
        return _double(value)
    if not _plain_allowed(value):
        return "'" + value.replace("'", "''") + "'" if _single_allowed(value) else _double(value)
    return value


def _plain_allowed(value: str) -> bool:
    if value[:3] in ("---", "...") or value[0] in " " or value[-1] == " " or not _single_allowed(value):
        return False
    first = value[0]
    if first in _FIRST or (first in "?:-" and (len(value) == 1 or value[1] in " \t")):
        return False
    return ": " not in value and value[-1] != ":" and " #" not in value and "\t#" not in value and ":\t" not in value


def _single_allowed(value: str) -> bool:
    return "\t" not in value and _printable(value)


def _printable(value: str) -> bool:
    """Whether the emitter takes every character as it is (YAML 1.1's set within the basic plane, no line breaks)."""
    return value.isprintable() if value.isascii() else all(map(_is_printable, value))


def _is_printable(char: str) -> bool:
    return " " <= char <= "~" or ("\xa0" <= char <= "\ufffd" and not "\ud800" <= char <= "\udfff" and char not in "\ufeff\u2028\u2029")


def _block_allowed(value: str) -> bool:
    return value[-1] != " " and value[0] != "\t" and " \n" not in value and _printable(value.replace("\t", "").replace("\n", ""))


def _literal(value: str, indent: int) -> str:
    hint = "2" if value[0] in " \n" else ""
    chomp = "-" if value[-1] != "\n" else "+" if value == "\n" or value[-2:] == "\n\n" else ""
    pad = " " * indent
    body = value[:-1] if value[-1] == "\n" else value
    return f"|{hint}{chomp}\n" + "\n".join(pad + line if line else "" for line in body.split("\n"))


def _double(value: str) -> str:
    return '"' + "".join(_ESCAPES.get(char) or (char if _is_printable(char) else _escape(ord(char))) for char in value) + '"'


def _escape(code: int) -> str:
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
