"""Objects: mappings with named attributes, in long forms and short ones. Runs in the command's process."""
# ruff: noqa: D102  (the methods are described by Type)

from __future__ import annotations

from collections.abc import Callable, Iterable

from compose.schema.base import Plain, Reading, Rejected, Type, one_of
from compose.schema.collections import show_any
from compose.schema.order import ordered
from compose.schema.tree import Map, Origin, Seq, Value, copy

Short = Callable[[Value, "Origin | None", Reading], Value]


class attribute:  # noqa: N801  (read as a word in the tables)
    """One attribute of an object. ``keep`` shows it even when zero, ``blank`` is what JSON shows when it is not there at all.

    ``told``: that it is empty says something that its absence does not. The reference leaves it out all the same; YAML has it, so that it loads back.
    """

    __slots__ = ("blank", "doc", "keep", "key", "required", "told", "type")

    def __init__(
        self, key: str, kind: Type, doc: str = "", *, required: bool = False, keep: bool = False, blank: Plain = "", told: bool = False
    ) -> None:
        self.key = key
        self.type = kind
        self.doc = doc
        self.required = required
        self.keep = keep
        self.told = told
        self.blank = blank


Field = attribute


class Object(Type):
    """A mapping with named attributes, in the order in which ``config`` prints them. ``short`` makes the long form out of a short one."""

    noun = "a mapping"
    needed = True

    __slots__ = (
        "blanks",
        "by_name",
        "capitals",
        "extensions",
        "fields",
        "finish",
        "hidden",
        "lenient",
        "name",
        "rank",
        "required",
        "short",
        "short_schemas",
        "void",
    )

    def __init__(
        self,
        name: str,
        fields: tuple[Field, ...],
        *,
        extensions: bool = True,
        nullable: bool = False,
        short: Short | None = None,
        short_schemas: tuple[dict[str, Plain], ...] = (),
        hidden: tuple[str, ...] = (),
        finish: Callable[[Map, Reading], None] | None = None,
        capitals: bool = False,
        lenient: bool = False,
    ) -> None:
        self.name = name
        self.fields = fields
        self.by_name = {f.key: f for f in fields}
        self.rank = {f.key: index for index, f in enumerate(fields)}
        self.required = [f for f in fields if f.required]
        self.blanks = {f.key for f in fields if f.blank != ""}
        self.extensions = extensions
        self.void = nullable
        self.short = short
        self.short_schemas = short_schemas
        self.hidden = hidden  # accepted, not shown by the reference: YAML has them, so that it loads back
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
                found = known.type.read(item, place[1] if place else value.origin, reading)
                result[key] = copy(item) if reading.as_written and not known.type.needed else found
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
                    reading.problem(
                        "must have a value, but is nothing", value.where(key), hint=f"remove {key!r} or give it a value", at=(key,)
                    )
            elif isinstance(item, (Map, Seq)):
                path.append(key)
                known.type.check(item, value.where(key), reading)
                path.pop()
        for known in self.required:
            if known.key not in value:
                reading.problem(f"{known.key!r} is missing", value.origin or origin)

    def show(self, value: Value, json: bool) -> Plain:
        if not isinstance(value, Map):
            return show_any(value, json)
        result: dict[str, Plain] = {}
        for known in self.shown(value, json):
            item = value.get(known.key)
            if (item is not None and (known.keep or not known.type.empty(item))) or (known.told and not json):
                if not json or known.key not in self.hidden:
                    result[known.key.capitalize() if json and self.capitals else known.key] = known.type.show(item, json)
            elif json and known.blank != "":
                result[known.key] = known.blank
        if not json:
            for key in ordered(k for k in value if k not in self.by_name):
                result[key] = show_any(value[key])
        return result

    def shown(self, value: Map, json: bool) -> Iterable[attribute]:
        """The attributes to look at, in order: those that are there, and in JSON those that it always shows."""
        rank = self.rank
        present = [key for key in value if key in rank]
        if json:
            present += [key for key in self.blanks if key not in value]
        present.sort(key=rank.__getitem__)
        return map(self.by_name.__getitem__, present)

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
