"""Plain YAML scalars as Compose reads them: YAML 1.2 with the octals and underscores of 1.1. The first phase's vocabulary; pure."""

from __future__ import annotations

import math
import re

from compose.schema.tree import Timestamp

Plain = None | bool | int | float | str

_WORDS: dict[str, Plain] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".nan": math.nan,
    ".NaN": math.nan,
    ".NAN": math.nan,
    ".inf": math.inf,
    ".Inf": math.inf,
    ".INF": math.inf,
    "+.inf": math.inf,
    "+.Inf": math.inf,
    "+.INF": math.inf,
    "-.inf": -math.inf,
    "-.Inf": -math.inf,
    "-.INF": -math.inf,
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]*)?([ \t]*(Z|[-+][0-9]{1,2}(:[0-9]{2})?))?)?"
)
_HINT = frozenset("0123456789+-.")


def resolve(text: str) -> Plain:
    """The value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _HINT:
        return text
    if text[0] == ".":
        return _float(text, text) if _FLOAT.fullmatch(text) else text
    if _DATE.fullmatch(text) and _is_date(text):
        return Timestamp(text if len(text) > 10 else text + "T00:00:00Z")
    digits = text.replace("_", "")
    integer = _INTEGER.fullmatch(digits)
    if integer:
        return _integer(integer[1], integer[2], digits)
    if _FLOAT.fullmatch(digits):
        return _float(digits, text)
    return text


def _float(digits: str, text: str) -> Plain:
    """The number, or the text when it is too large for one."""
    value = float(digits)
    return text if math.isinf(value) else value


def _integer(sign: str, body: str, text: str) -> Plain:
    prefix = body[:2].lower()
    if prefix == "0x":
        value = int(body[2:], 16)
    elif prefix == "0b":
        value = int(body[2:], 2)
    elif prefix == "0o":
        value = int(body[2:], 8)
    elif body[0] == "0" and len(body) > 1:
        value = int(body, 8)
    elif len(body) > 20:
        return float(text)
    else:
        value = int(body)
    if sign == "-":
        value = -value
    if -(2**63) <= value < (2**63 if sign else 2**64):
        return value
    return float(text) if prefix.isdigit() else text


def _is_date(text: str) -> bool:
    year, month, rest = text.split("-", 2)
    day = re.match(r"[0-9]+", rest)
    if day is None or not 1 <= int(month) <= 12:
        return False
    leap = int(year) % 4 == 0 and (int(year) % 100 != 0 or int(year) % 400 == 0)
    most = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[int(month) - 1]
    return 1 <= int(day[0]) <= most
