"""Writes plain values as JSON as Go does: two blanks, its numbers, ``<``, ``>`` and ``&`` escaped. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from json.encoder import encode_basestring

from compose.errors import ComposeError
from compose.render_yaml import Plain
from compose.schema.numbers import float_text

_ESCAPES = str.maketrans({"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def write(value: Plain) -> str:
    """A whole document. Raises ComposeError for numbers that JSON does not have."""
    pieces: list[str] = []
    _value(value, "\n", pieces.append)
    return "".join(pieces).encode("utf-8", "replace").decode().translate(_ESCAPES)


def _value(value: Plain, line: str, put: Callable[[str], None]) -> None:
    if type(value) is str:
        put(encode_basestring(value))
    elif isinstance(value, dict):
        _mapping(value, line, put)
    elif isinstance(value, list):
        _sequence(value, line, put)
    else:
        put(_scalar(value))


def _mapping(value: dict[str, Plain], line: str, put: Callable[[str], None]) -> None:
    if not value:
        put("{}")
        return
    inner = line + "  "
    separator = "{" + inner
    for key, item in value.items():
        put(f"{separator}{encode_basestring(key)}: ")
        _value(item, inner, put)
        separator = "," + inner
    put(line + "}")


def _sequence(value: list[Plain], line: str, put: Callable[[str], None]) -> None:
    if not value:
        put("[]")
        return
    inner = line + "  "
    separator = "[" + inner
    for item in value:
        put(separator)
        _value(item, inner, put)
        separator = "," + inner
    put(line + "]")


def _scalar(value: bool | int | float | str | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ComposeError(f"{float_text(value)} has no JSON form", hint="use --format yaml")
        text = float_text(value, most=21)
        return text.replace("e-0", "e-")
    return str(value) if isinstance(value, int) else encode_basestring(str(value))
