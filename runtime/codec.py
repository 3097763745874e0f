"""Frozen dataclasses to JSON values and back, by their type hints; the format of every state file and message. In every process.

Defaults are left out when writing and filled in when reading, so files stay small and older files stay readable; unknown keys are ignored.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")
Decoder = Callable[[Any], Any]
_SCALARS = frozenset((str, int, float, bool, type(None)))


def encode(value: Any) -> Any:
    """The JSON value of a dataclass, tuple, mapping, enum or scalar."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if is_dataclass(kind):
        members = ((name, getattr(value, name), default) for name, default in _members(kind))
        return {name: encode(member) for name, member, default in members if member != default or name == "kind"}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (tuple, list, set, frozenset)):
        return [encode(v) for v in value]
    return value


def dumps(value: Any) -> str:
    """Compact JSON text of ``encode(value)``."""
    return json.dumps(encode(value), separators=(",", ":"), ensure_ascii=False)


def decode(kind: type[T], value: Any) -> T:
    """A ``kind`` made of a JSON value that ``encode`` wrote. Raises TypeError or KeyError when required fields are missing."""
    return cast("T", _decoder(kind)(value))


def loads(kind: type[T], text: str | bytes) -> T:
    """``decode`` of JSON text."""
    return decode(kind, json.loads(text))


@cache
def _members(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Names and defaults of a class's fields; the defaults are for comparing only."""
    return tuple((f.name, f.default if f.default_factory is MISSING else f.default_factory()) for f in fields(kind))


_decoders: dict[object, Decoder] = {}


def _decoder(hint: Any) -> Decoder:
    found = _decoders.get(hint)
    if found is None:
        found = _decoders[hint] = _new_decoder(hint)
    return found


def _new_decoder(hint: Any) -> Decoder:
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass_decoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _union_decoder(arguments)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        item = _decoder(arguments[1])
        return lambda value: {k: item(v) for k, v in value.items()}
    return _identity


def _identity(value: Any) -> Any:
    return value


def _dataclass_decoder(kind: Any) -> Decoder:
    hints = typing.get_type_hints(kind)
    table = {f.name: _decoder(hints[f.name]) for f in fields(kind)}

    def decode_dataclass(value: Any) -> Any:
        return kind(**{k: table[k](v) for k, v in value.items() if k in table})

    return decode_dataclass


def _tuple_decoder(arguments: tuple[Any, ...]) -> Decoder:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _decoder(arguments[0])
        return lambda value: tuple(item(v) for v in value)
    items = [_decoder(a) for a in arguments]
    return lambda value: tuple(d(v) for d, v in zip(items, value, strict=True))


def _union_decoder(arguments: tuple[Any, ...]) -> Decoder:
    members = [a for a in arguments if a is not types.NoneType]
    if len(members) == 1:
        single = _decoder(members[0])
        return lambda value: None if value is None else single(value)
    kinds = {typing.get_args(typing.get_type_hints(m)["kind"])[0]: _decoder(m) for m in members if is_dataclass(m)}
    if not kinds:
        return _identity
    return lambda value: None if value is None else kinds[value["kind"]](value)
