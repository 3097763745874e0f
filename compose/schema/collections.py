"""Collections: lists, mappings, key-value pairs in both their forms, objects with named attributes. Runs in the command's process."""
# ruff: noqa: D102  (the methods are described by Type)

from __future__ import annotations

import re
from collections.abc import Callable

from compose.schema.base import Plain, Reading, Rejected, Type, one_of
from compose.schema.order import ordered
from compose.schema.scalars import is_scalar, text_of
from compose.schema.tree import Map, Origin, Seq, Value

Short = Callable[[Value, "Origin | None", Reading], Value]


class Anything(Type):
    """What Compose does not look into (extensions)."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        return value

    def show(self, value: Value, json: bool) -> Plain:
        return show_any(value, json)

    def empty(self, value: Value) -> bool:
        return False

    def schema(self) -> dict[str, Plain]:
        return {}


def show_any(value: Value, json: bool = False) -> Plain:
    """A value of no declared type, maps sorted by key."""
    if isinstance(value, Map):
        return {k: show_any(value[k], json) for k in ordered(value, json)}
    if isinstance(value, Seq):
        return [show_any(v, json) for v in value]
    return value


class ListOf(Type):
    """A list; ``single`` takes one item without the list around it, ``unique`` refuses an item that is there twice."""

    __slots__ = ("item", "single", "unique")

    def __init__(self, item: Type, unique: bool = False, single: bool = False) -> None:
        self.item = item
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
                reading.problem(f"must be {_expected(self.item)}, but is nothing", value.where(key))
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


def _expected(item: Type) -> str:
    return "a mapping" if isinstance(item, (Object, MapOf)) else "a value"


class KeyValues(Type):
    """``KEY: value`` or a list of ``KEY=value``; values become texts, a missing one is null (kept only when ``nulls``)."""

    __slots__ = ("nulls", "strict")

    def __init__(self, nulls: bool = False, strict: bool = False) -> None:
        self.nulls = nulls
        self.strict = strict

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
            if type(item) is str or (self.numbers and number) or (item is None and self.nulls) or (self.any_scalar and (item is None or is_scalar(item))):
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


class attribute:  # noqa: N801  (read as a word in the tables)
    """One attribute of an object. ``keep`` shows it even when zero, ``blank`` is what JSON shows when it is not there at all."""

    __slots__ = ("blank", "doc", "keep", "key", "required", "type")

    def __init__(self, key: str, kind: Type, doc: str = "", *, required: bool = False, keep: bool = False, blank: Plain = "") -> None:
        self.key = key
        self.type = kind
        self.doc = doc
        self.required = required
        self.keep = keep
        self.blank = blank


Field = attribute


class Object(Type):
    """A mapping with named attributes, in the order in which ``config`` prints them. ``short`` makes the long form out of a short one."""

    __slots__ = ("by_name", "capitals", "extensions", "fields", "finish", "hidden", "lenient", "name", "short", "short_schemas", "void")

    def __init__(
        self, name: str, fields: tuple[Field, ...], *, extensions: bool = True, nullable: bool = False, short: Short | None = None,
        short_schemas: tuple[dict[str, Plain], ...] = (), hidden: tuple[str, ...] = (), finish: Callable[[Map, Reading], None] | None = None,
        capitals: bool = False, lenient: bool = False,
    ) -> None:
        self.name = name
        self.fields = fields
        self.by_name = {f.key: f for f in fields}
        self.extensions = extensions
        self.void = nullable
        self.short = short
        self.short_schemas = short_schemas
        self.hidden = hidden  # accepted, never shown
        self.finish = finish
        self.lenient = lenient  # what does not belong here is said, and left out
        self.capitals = capitals  # JSON shows the keys with a capital, as the reference does for some objects

    @property
    def nullable(self) -> bool:  # type: ignore[override]
        return self.void

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is not Map:
            value = self._expand(value, origin, reading)
            if type(value) is not Map:
                return value
        result = Map(value.origin or origin)
        fields, path, at = self.by_name, reading.path, value.at
        for key, item in value.items():
            known = fields.get(key)
            if known is None:
                if key[:2] == "x-" and self.extensions:
                    result.adopt(key, item, value)
                else:
                    reading.unknown(key, value, fields, self.name, warn=self.lenient)
                continue
            place = at.get(key)
            if item is None and not known.type.nullable:
                result.adopt(key, None, value)
                continue
            path.append(key)
            try:
                result[key] = known.type.read(item, place[1] if place else value.origin, reading)
                result.at[key] = place or (value.origin, value.origin)
            except Rejected:
                pass
            finally:
                path.pop()
        if self.finish:
            self.finish(result, reading)
        return result

    def _expand(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if value is None and self.void:
            return None
        if self.short is None:
            raise reading.wrong("a mapping", value, origin)
        return self.short(value, origin, reading)

    def check(self, value: Value, origin: Origin | None, reading: Reading) -> None:
        if not isinstance(value, Map):
            return
        fields, path = self.by_name, reading.path
        for key, item in value.items():
            known = fields.get(key)
            if known is None:
                continue
            if item is None:
                if not known.type.nullable:
                    reading.problem("must have a value, but is nothing", value.where(key), hint=f"remove {key!r} or give it a value", at=(key,))
            elif isinstance(item, (Map, Seq)):
                path.append(key)
                known.type.check(item, value.where(key), reading)
                path.pop()
        for known in self.fields:
            if known.required and known.key not in value:
                reading.problem(f"{known.key!r} is missing", value.origin or origin)

    def show(self, value: Value, json: bool) -> Plain:
        if not isinstance(value, Map):
            return show_any(value, json)
        result: dict[str, Plain] = {}
        for known in self.fields:
            item = value.get(known.key)
            if known.key in value and (known.keep or not known.type.empty(item)) and item is not None:
                if known.key not in self.hidden:
                    result[known.key.capitalize() if json and self.capitals else known.key] = known.type.show(item, json)
            elif json and known.blank != "":
                result[known.key] = known.blank
        for key in ordered(k for k in value if k not in self.by_name):
            if not json:
                result[key] = show_any(value[key])
        return result

    def schema(self) -> dict[str, Plain]:
        properties: dict[str, Plain] = {}
        for known in self.fields:
            described = known.type.schema()
            if known.type.nullable and "anyOf" not in described:
                described = one_of(described, {"type": "null"})
            properties[known.key] = {"description": known.doc, **described} if known.doc else described
        result: dict[str, Plain] = {"type": "object", "properties": properties, "additionalProperties": self.lenient}
        required: list[Plain] = [f.key for f in self.fields if f.required]
        if required:
            result["required"] = required
        if self.extensions:
            result["patternProperties"] = {"^x-": {}}
        return one_of(result, *self.short_schemas) if self.short_schemas else result
