"""Collections: lists, mappings, key-value pairs in both their forms, objects with named attributes. Runs in the command's process."""
# ruff: noqa: D102  (the methods are described by Type)

from __future__ import annotations

import re

from compose.schema.base import Plain, Reading, Rejected, Type, one_of
from compose.schema.order import ordered
from compose.schema.scalars import is_scalar, text_of
from compose.schema.tree import Map, Origin, Seq, Value


def show_any(value: Value, json: bool = False) -> Plain:
    """A value of no declared type, maps sorted by key."""
    if isinstance(value, Map):
        return {k: show_any(value[k], json) for k in ordered(value, json)}
    if isinstance(value, Seq):
        return [show_any(v, json) for v in value]
    return value


class ListOf(Type):
    """A list; ``single`` takes one item without the list around it, ``unique`` refuses an item that is there twice."""

    __slots__ = ("item", "needed", "single", "unique")

    def __init__(self, item: Type, unique: bool = False, single: bool = False, needed: bool = False) -> None:
        self.item = item
        self.needed = needed or item.needed
        self.unique = unique
        self.single = single

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        result = Seq(origin)
        if self.single and type(value) is str:
            result.add(value, origin)
            return result
        if type(value) is not Seq:
            raise reading.wrong("a string or a list" if self.single else "a list", value, origin)
        path, read = reading.path, self.item.read
        for index, item in enumerate(value):
            path.append(index)
            where = value.where(index)
            try:
                result.add(read(item, where, reading), where)
            except Rejected:
                pass
            finally:
                path.pop()
        return result

    def check(self, value: Value, origin: Origin | None, reading: Reading) -> None:
        if not isinstance(value, Seq):
            return
        for index, item in enumerate(value):
            if isinstance(item, (Map, Seq)):
                reading.path.append(index)
                self.item.check(item, value.where(index), reading)
                reading.path.pop()
        if self.unique:
            refuse_twins(value, reading)

    def show(self, value: Value, json: bool) -> Plain:
        return [self.item.show(v, json) for v in value] if isinstance(value, Seq) else show_any(value, json)

    def schema(self) -> dict[str, Plain]:
        result: dict[str, Plain] = {"type": "array", "items": self.item.schema()}
        return one_of({"type": "string"}, result) if self.single else result


def refuse_twins(items: Seq, reading: Reading) -> None:
    """Record the first item that is there twice."""
    if len(set(map(str, items))) == len(items):
        return
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        first = seen.setdefault(str(item), index)
        if first != index:
            reading.problem(f"items at {first} and {index} are equal", items.where(index), hint="remove one of them")
            return


class MapOf(Type):
    """A mapping with free keys (``pattern`` limits them); values may be null when ``nulls``."""

    needed = True
    __slots__ = ("item", "nulls", "pattern", "what")

    def __init__(self, item: Type, pattern: str = "", nulls: bool = False, what: str = "a mapping") -> None:
        self.item = item
        self.pattern = pattern
        self.nulls = nulls
        self.what = what

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is not Map:
            raise reading.wrong(self.what, value, origin)
        result = Map(value.origin)
        matches = re.compile(self.pattern).fullmatch if self.pattern else None
        path, read = reading.path, self.item.read
        for key, item in value.items():
            if matches and not matches(key):
                reading.problem(f"{key!r} is not a valid name", value.place(key)[0], hint="letters, digits, '.', '_' and '-'")
                continue
            if item is None:
                result.adopt(key, None, value)
                continue
            path.append(key)
            try:
                result[key] = read(item, value.where(key), reading)
                result.at[key] = value.place(key)
            except Rejected:
                pass
            finally:
                path.pop()
        return result

    def check(self, value: Value, origin: Origin | None, reading: Reading) -> None:
        if not isinstance(value, Map):
            return
        for key, item in value.items():
            reading.path.append(key)
            if item is None and not self.nulls and not self.item.nullable:
                reading.problem(f"must be {self.item.noun}, but is nothing", value.where(key))
            else:
                self.item.check(item, value.where(key), reading)
            reading.path.pop()

    def show(self, value: Value, json: bool) -> Plain:
        if not isinstance(value, Map):
            return show_any(value, json)
        return {k: None if value[k] is None else self.item.show(value[k], json) for k in ordered(value, json)}

    def schema(self) -> dict[str, Plain]:
        item = self.item.schema()
        if self.nulls or self.item.nullable:
            item = one_of(item, {"type": "null"})
        if self.pattern:
            return {"type": "object", "patternProperties": {f"^{self.pattern}$": item}, "additionalProperties": False}
        return {"type": "object", "additionalProperties": item}


class KeyValues(Type):
    """``KEY: value`` or a list of ``KEY=value``; values become texts, a missing one is null (kept only when ``nulls``)."""

    __slots__ = ("needed", "nulls", "strict")

    def __init__(self, nulls: bool = False, strict: bool = False, needed: bool = False) -> None:
        self.nulls = nulls
        self.strict = strict
        self.needed = needed

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is Map:
            return self._mapping(value, reading)
        if type(value) is not Seq:
            raise reading.wrong("a mapping or a list of KEY=value", value, origin)
        result = Map(value.origin)
        for index, item in enumerate(value):
            where = value.where(index)
            if type(item) is not str:
                reading.path.append(index)
                reading.wrong("a string KEY=value", item, where)
                reading.path.pop()
                continue
            key, separator, text = item.partition("=")
            if self.strict and key != key.rstrip():
                reading.problem(f"environment variable {key!r} is declared with a trailing space", where, at=(index,))
                continue
            result.put(key, text if separator else (None if self.nulls else ""), where)
        return result

    def _mapping(self, value: Map, reading: Reading) -> Map:
        result = Map(value.origin)
        result.at = value.at
        for key, item in value.items():
            if not key:
                reading.problem("a key is empty", value.place(key)[0])
            elif type(item) is str:
                result[key] = item
            elif item is None:
                result[key] = None if self.nulls else ""
            elif is_scalar(item):
                result[key] = text_of(item)
            else:
                reading.path.append(key)
                reading.wrong("a string, number, boolean or nothing", item, value.where(key), hint="put it in quotes")
                reading.path.pop()
        return result

    def show(self, value: Value, json: bool) -> Plain:
        if isinstance(value, Map) and "" in value and not json:  # a list can have an empty name, a mapping cannot
            return [key if value[key] is None else f"{key}={value[key]}" for key in ordered(value)]
        return show_any(value, json)

    def schema(self) -> dict[str, Plain]:
        return one_of(
            {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
            {"type": "array", "items": {"type": "string"}},
        )


class TextMap(Type):
    """A mapping of texts; numbers are taken as their text, ``any_scalar`` also booleans and null."""

    __slots__ = ("any_scalar", "nulls", "numbers")

    def __init__(self, numbers: bool = True, nulls: bool = False, any_scalar: bool = False) -> None:
        self.numbers = numbers
        self.nulls = nulls
        self.any_scalar = any_scalar

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is not Map:
            raise reading.wrong("a mapping", value, origin)
        result = Map(value.origin)
        result.at = value.at
        for key, item in value.items():
            number = isinstance(item, (int, float)) and not isinstance(item, bool)
            if (
                type(item) is str
                or (self.numbers and number)
                or (item is None and self.nulls)
                or (self.any_scalar and (item is None or is_scalar(item)))
            ):
                result[key] = text_of(item)
            else:
                reading.path.append(key)
                reading.wrong("a string or a number" if self.numbers else "a string", item, value.where(key))
                reading.path.pop()
        return result

    def show(self, value: Value, json: bool) -> Plain:
        return show_any(value, json)

    def schema(self) -> dict[str, Plain]:
        more = {"number": self.numbers, "boolean": self.any_scalar, "null": self.any_scalar or self.nulls}
        kinds: list[Plain] = ["string", *(kind for kind, taken in more.items() if taken)]
        return {"type": "object", "additionalProperties": {"type": kinds}}
