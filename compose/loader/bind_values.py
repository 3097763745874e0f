"""Typed values out of canonical mappings: what is missing becomes the model's default. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from compose.schema.tree import Map, Seq, Value


def text(holder: Map, key: str) -> str:
    """A string, or ""."""
    value = holder.get(key)
    return value if isinstance(value, str) else "" if value is None or isinstance(value, (Map, Seq)) else str(value)


def integer(holder: Map, key: str) -> int | None:
    """A whole number, or nothing."""
    value = holder.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def decimal(holder: Map, key: str) -> float | None:
    """A number, or nothing."""
    value = holder.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def seconds(holder: Map, key: str) -> float | None:
    """A duration in seconds, or nothing."""
    value = integer(holder, key)
    return None if value is None else value / 1e9


def bool_or_none(holder: Map, key: str) -> bool | None:
    """A boolean, or nothing."""
    value = holder.get(key)
    return value if isinstance(value, bool) else None


def tuples(holder: Map, key: str) -> tuple[str, ...]:
    """A list of strings."""
    value = holder.get(key)
    return tuple(map(str, value)) if isinstance(value, Seq) else ()


def opt_tuple(holder: Map, key: str) -> tuple[str, ...] | None:
    """A list of strings, or nothing when it was not written."""
    value = holder.get(key)
    return tuple(map(str, value)) if isinstance(value, Seq) else None


def texts(holder: Map, key: str) -> dict[str, str]:
    """A mapping of strings."""
    value = holder.get(key)
    return {k: str(v) for k, v in value.items() if v is not None} if isinstance(value, Map) else {}


def nulls(holder: Map, key: str) -> dict[str, str | None]:
    """A mapping of strings and nothings."""
    value = holder.get(key)
    return {k: None if v is None else str(v) for k, v in value.items()} if isinstance(value, Map) else {}


def maps(value: Value) -> list[Map]:
    """The mappings of a list."""
    return [item for item in value if isinstance(item, Map)] if isinstance(value, Seq) else []


def each(value: Value) -> Iterator[tuple[str, Map]]:
    """Named mappings; one that says nothing is empty."""
    if isinstance(value, Map):
        for key, item in value.items():
            yield key, item if isinstance(item, Map) else Map()
