"""Scalar attributes: texts, flags, numbers, sizes, durations, file modes. Runs in the command's process."""
# ruff: noqa: D102  (the methods are described by Type)

from __future__ import annotations

import re

from compose.schema.base import Plain, Reading, Type, nearest, one_of, shown
from compose.schema.numbers import duration_text, float_text, parse_duration, parse_size, single
from compose.schema.tree import Origin, Timestamp, Value

_WORDS = {"true": True, "y": True, "yes": True, "on": True, "false": False, "n": False, "no": False, "off": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"[-+]?[0-7]+")
_EXPRESSION: Plain = r"\$"


class Text(Type):
    """A string; ``enum`` lists what it may be, ``pattern`` must be found in it, ``numbers`` are taken as their text."""

    __slots__ = ("enum", "numbers", "pattern", "says")

    def __init__(self, enum: tuple[str, ...] = (), pattern: str = "", numbers: bool = False, says: str = "") -> None:
        self.enum = enum
        self.pattern = pattern
        self.numbers = numbers
        self.says = says

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is not str:
            if self.numbers and type(value) is int:
                return text_of(value)
            raise reading.wrong("a string or a whole number" if self.numbers else "a string", value, origin)
        if self.enum and value not in self.enum and not reading.undecided(value):
            close = nearest(value, self.enum)
            allowed = ", ".join(self.enum)
            raise reading.reject(f"must be one of {allowed}, but is {value!r}", origin, hint=f"did you mean {close!r}?" if close else None)
        if self.pattern and not re.search(self.pattern, value) and not reading.undecided(value):
            raise reading.reject(f"{value!r} is not {self.says}", origin)
        return value

    def schema(self) -> dict[str, Plain]:
        result: dict[str, Plain] = {"type": ["string", "number"] if self.numbers else "string"}
        if self.enum:
            result = one_of({"enum": list(self.enum)}, {"type": "string", "pattern": _EXPRESSION})
        elif self.pattern:
            result = one_of({"type": "string", "pattern": self.pattern}, {"type": "string", "pattern": _EXPRESSION})
        return result


class Flag(Type):
    """A boolean, or a string that becomes one (after interpolation); ``strict`` takes no strings."""

    __slots__ = ("strict",)

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if isinstance(value, bool):
            return value
        if type(value) is str and (not self.strict or reading.undecided(value)):
            if reading.undecided(value):
                return value
            word = value.lower()
            if word in _WORDS:
                if word not in ("true", "false"):
                    right = "true" if _WORDS[word] else "false"
                    reading.warnings.append(f"{value!r} for boolean is not supported by YAML 1.2, please use `{right}`")
                return _WORDS[word]
            raise reading.reject(f"invalid boolean: {value!r}", origin, hint="write true or false")
        raise reading.wrong("a boolean", value, origin, hint="write true or false")

    def schema(self) -> dict[str, Plain]:
        return {"type": ["boolean", "string"]}


class Integer(Type):
    """A whole number; ``text`` also takes its digits in a string, ``cut`` drops the fraction of a number that has one."""

    __slots__ = ("cut", "least", "most", "text")

    def __init__(self, least: int | None = None, most: int | None = None, text: bool = True, cut: bool = False) -> None:
        self.least = least
        self.most = most
        self.text = text
        self.cut = cut

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is str and self.text:
            if reading.undecided(value):
                return value
            if not _INTEGER.fullmatch(value):
                raise reading.reject(f"invalid whole number: {value!r}", origin)
            value = int(value)
        if type(value) is float and (value.is_integer() or self.cut) and abs(value) < 2**63:
            value = int(value)
        if type(value) is not int:
            raise reading.wrong("a whole number", value, origin)
        if (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            bounds = f"between {self.least} and {self.most}" if self.most is not None else f"greater than or equal to {self.least}"
            raise reading.reject(f"must be {bounds}, but is {value}", origin)
        if not -(2**63) <= value < 2**63:
            raise reading.reject(f"{value} does not fit in 64 bits", origin)
        return value

    def schema(self) -> dict[str, Plain]:
        number: dict[str, Plain] = {"type": "number" if self.cut else "integer"}
        if self.least is not None:
            number["minimum"] = self.least
        if self.most is not None:
            number["maximum"] = self.most
        return one_of(number, {"type": "string"}) if self.text else number


class Decimal(Type):
    """A number kept in single precision, as Compose does; ``percent`` must be whole and at most 100."""

    __slots__ = ("percent",)

    def __init__(self, percent: bool = False) -> None:
        self.percent = percent

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is str:
            if reading.undecided(value):
                return value
            try:
                return single(float(value.replace("_", "x")))
            except ValueError:
                raise reading.reject(f"invalid number: {value!r}", origin) from None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if self.percent and (isinstance(value, float) or not 0 <= value <= 100):
                raise reading.reject(f"must be a whole number between 0 and 100, but is {shown(value)}", origin)
            return single(float(value))
        raise reading.wrong("a number", value, origin)

    def show(self, value: Value, json: bool) -> Plain:
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e6 else value  # type: ignore[return-value]

    def schema(self) -> dict[str, Plain]:
        return {"type": ["number", "string"]}


class Size(Type):
    """Bytes: a number, or a string such as ``64m`` (powers of 1024). Kept in bytes, shown as a string of digits."""

    __slots__ = ("least", "only_text", "whole")

    def __init__(self, only_text: bool = False, whole: bool = False, least: int | None = None) -> None:
        self.only_text = only_text
        self.whole = whole
        self.least = least

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is str:
            if reading.undecided(value):
                return value
            try:
                return parse_size(value)
            except ValueError as e:
                raise reading.reject(str(e), origin, hint="a number with b, k, m or g, such as 64m") from None
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and not self.only_text
            and not (self.whole and isinstance(value, float))
        ):
            if self.least is not None and value < self.least:
                raise reading.reject(f"must be greater than or equal to {self.least}, but is {shown(value)}", origin)
            return int(value)
        raise reading.wrong("a string such as 64m" if self.only_text else "a number of bytes or a string such as 64m", value, origin)

    def show(self, value: Value, json: bool) -> Plain:
        if isinstance(value, int) and value < -1 and not json and not self.only_text:
            return value  # the text of it would be refused
        return str(value)

    def schema(self) -> dict[str, Plain]:
        return {"type": "string" if self.only_text else ["number", "string"]}


class Duration(Type):
    """A span of time such as ``1m30s``. Kept in nanoseconds, shown as Go writes it."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is not str:
            raise reading.wrong(
                "a string such as 1m30s", value, origin, hint=f"{value}s means {value} seconds" if type(value) is int else None
            )
        if reading.undecided(value):
            return value
        try:
            return parse_duration(value)
        except ValueError as e:
            raise reading.reject(str(e), origin, hint="numbers with a unit each: w d h m s ms us ns, such as 1m30s") from None

    def show(self, value: Value, json: bool) -> Plain:
        return duration_text(value) if isinstance(value, int) else str(value)

    def schema(self) -> dict[str, Plain]:
        return {"type": "string"}


class Mode(Type):
    """File permissions: a number (write 0440 for octal) or a string of octal digits; shown as ``"0440"`` unless ``plain``."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is str:
            if reading.undecided(value):
                return value
            try:
                return int(value if _OCTAL.fullmatch(value) else "x", 8)
            except ValueError:
                raise reading.reject(f"invalid mode: {value!r}", origin, hint="octal digits, such as 0440") from None
        if type(value) is int:
            return value
        raise reading.wrong("octal permissions, such as 0440", value, origin)

    def show(self, value: Value, json: bool) -> Plain:
        return f"0{value:o}" if isinstance(value, int) else str(value)

    def empty(self, value: Value) -> bool:
        return value is None

    def schema(self) -> dict[str, Plain]:
        return {"type": ["number", "string"]}


class FlagText(Type):
    """A boolean or a string, kept as a string (``provenance``, ``sbom``)."""

    __slots__ = ("needed",)

    def __init__(self, needed: bool = False) -> None:
        self.needed = needed

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if isinstance(value, bool):
            return shown(value)
        if type(value) is str:
            return value
        raise reading.wrong("a string or a boolean", value, origin)

    def schema(self) -> dict[str, Plain]:
        return {"type": ["string", "boolean"]}


def text_of(value: Value) -> str:
    """A scalar as the text that a container or a label gets."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    return str(value)


def is_scalar(value: Value) -> bool:
    """Whether ``value`` may stand for a text: a string, number or boolean, but not a date."""
    return isinstance(value, (str, int, float, bool)) and not isinstance(value, Timestamp)
