"""The document tree that every loading phase works on: plain values in containers that remember where they were written.

Runs in the command's process. A ``Map`` or ``Seq`` is an ordinary dict or list; beside its items it keeps the places (``at``) that they came from,
so that a message can show the line after any number of merges. Scalars are plain Python values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias


class Mark(Protocol):
    """A place in a file; ``line`` and ``column`` count from 0."""

    @property
    def name(self) -> str | None: ...  # noqa: D102
    @property
    def line(self) -> int: ...  # noqa: D102
    @property
    def column(self) -> int: ...  # noqa: D102


class Origin(Protocol):
    """What a value was read from: anything with a start mark (a YAML node)."""

    @property
    def start_mark(self) -> Mark: ...  # noqa: D102


class Timestamp(str):
    """A YAML timestamp: never valid where Compose wants a string, so it must not look like one."""

    __slots__ = ()


Value: TypeAlias = "bool | int | float | str | Map | Seq | None"
Place: TypeAlias = "tuple[Origin | None, Origin | None]"  # of a key and of its value


class Map(dict[str, "Value"]):
    """A mapping; ``at`` holds the places of keys and values, ``origin`` its own."""

    __slots__ = ("at", "origin")

    def __init__(self, origin: Origin | None = None) -> None:
        self.at: dict[str, Place] = {}
        self.origin = origin

    def put(self, key: str, value: Value, origin: Origin | None) -> None:
        """Set ``key`` to a value made out of what stands at ``origin``."""
        self[key] = value
        self.at[key] = (origin, origin)

    def adopt(self, key: str, value: Value, source: Map) -> None:
        """Set ``key`` to a value that stands at ``key`` in ``source``."""
        self[key] = value
        self.at[key] = source.place(key)

    def place(self, key: str) -> Place:
        """Where ``key`` and its value stand, or the mapping itself when that is unknown."""
        return self.at.get(key) or (self.origin, self.origin)

    def where(self, key: str) -> Origin | None:
        """Where the value of ``key`` stands."""
        return self.place(key)[1] or self.origin

    def drop(self, key: str) -> None:
        """Remove ``key`` if it is there."""
        self.pop(key, None)
        self.at.pop(key, None)


class Seq(list["Value"]):
    """A sequence; ``at`` holds the place of each item (or nothing), ``origin`` its own."""

    __slots__ = ("at", "origin")

    def __init__(self, origin: Origin | None = None) -> None:
        self.at: list[Origin | None] = []
        self.origin = origin

    def add(self, value: Value, origin: Origin | None) -> None:
        """Append a value that stands at ``origin``."""
        self.append(value)
        self.at.append(origin)

    def where(self, index: int) -> Origin | None:
        """Where item ``index`` stands."""
        return self.at[index] if index < len(self.at) else self.origin

    def placed(self) -> Iterable[tuple[Value, Origin | None]]:
        """Items with their places."""
        return ((v, self.where(i)) for i, v in enumerate(self))


def copy(value: Value) -> Value:
    """A deep copy that keeps the places."""
    if isinstance(value, Map):
        result = Map(value.origin)
        result.at = dict(value.at)
        for key, item in value.items():
            result[key] = copy(item) if isinstance(item, (Map, Seq)) else item
        return result
    if isinstance(value, Seq):
        items = Seq(value.origin)
        items.at = list(value.at)
        items.extend(copy(item) if isinstance(item, (Map, Seq)) else item for item in value)
        return items
    return value


def kind(value: Value) -> str:
    """What a value is, in the words of a message."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case Timestamp():
            return "a date"
        case str():
            return "a string"
        case Map():
            return "a mapping"
        case _:
            return "a list"


def path_text(parts: Iterable[str | int]) -> str:
    """``services.web.ports[0]`` out of its parts."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
