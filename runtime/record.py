"""Dataclasses that cost little to define. In every process; a drop-in for ``dataclasses.dataclass``.

The standard decorator compiles six methods per class, a millisecond each time: the 170 classes of ``up`` took two thirds of its import time.
Here frozen classes with slots share four generic methods, and ``__init__`` is compiled when the first object is made. ``fields``, ``replace``,
``is_dataclass`` and ``match`` work as always. Every other kind of class goes to the standard decorator.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

__all__ = ["compiled", "dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass

    def compiled(*classes: type) -> None:
        """Compile the classes' ``__init__`` now: for those whose first object is made in a container child, so that no child does it again."""
else:
    _MISSING = dataclasses.MISSING
    _set = object.__setattr__

    @dataclasses.dataclass(frozen=True)
    class _Sample:
        field: int = 0

    _ORDINARY = dataclasses.fields(_Sample)[0]._field_type
    _PARAMETERS = {kw: dataclasses.make_dataclass("_P", (), frozen=True, kw_only=kw).__dataclass_params__ for kw in (False, True)}

    def dataclass(cls=None, /, **options):
        """As ``dataclasses.dataclass``; ``frozen=True, slots=True`` (and ``kw_only``) classes are made the cheap way."""

        def decorate(cls):
            cheap = options.keys() <= {"frozen", "slots", "kw_only"} and options.get("frozen") and options.get("slots")
            annotations = cls.__annotations__  # a class's own, never its bases' (annotationlib; Python 3.10 and later)
            if not cheap or any("InitVar" in str(a) or "KW_ONLY" in str(a) for a in annotations.values()):
                return dataclasses.dataclass(cls, **options)
            return _made(cls, annotations, options.get("kw_only", False))

        return decorate if cls is None else decorate(cls)

    def _made(cls, annotations, kw_only):
        members = dict(cls.__dict__)
        table = {}
        for base in cls.__mro__[-1:0:-1]:
            table.update(getattr(base, "__dataclass_fields__", {}))
        own = [name for name, kind in annotations.items() if "ClassVar" not in str(kind)]
        for name in own:
            table[name] = _field(name, annotations[name], members.pop(name, _MISSING), kw_only)
        members.pop("__dict__", None)
        members.pop("__weakref__", None)
        members["__slots__"] = tuple(n for n in own if not any(n in getattr(b, "__slots__", ()) for b in cls.__mro__[1:]))
        members["__dataclass_fields__"] = table
        members["__dataclass_params__"] = _PARAMETERS[kw_only]
        members["__match_args__"] = tuple(n for n, f in table.items() if f.init and not f.kw_only)
        members["__init__"] = _compiling(cls.__qualname__)
        for name, method in _SHARED.items():
            members.setdefault(name, method)
        if members["__hash__"] is None:  # a class with an own __eq__ has that from the interpreter
            members["__hash__"] = _hash
        made = type(cls)(cls.__name__, cls.__bases__, members)
        made.__init__.__record__ = made
        return made

    def _field(name, kind, default, kw_only):
        field = default if isinstance(default, dataclasses.Field) else dataclasses.field(default=default)
        field.name, field.type, field._field_type = name, kind, _ORDINARY
        if field.kw_only is _MISSING:
            field.kw_only = kw_only
        return field

    def _compiling(qualname):
        def initialise(self, /, *args, **kwargs):
            owner = initialise.__record__
            compiled = owner.__init__ = _compiled(owner)
            compiled(self, *args, **kwargs)

        initialise.__qualname__ = f"{qualname}.__init__"
        return initialise

    def _compiled(owner):
        """The real ``__init__``: one assignment per field."""
        names = {"_set": _set, "_MISSING": _MISSING}
        plain, keyword, body = [], [], []
        for name, field in owner.__dataclass_fields__.items():
            value = name
            argument = name
            if field.default is not _MISSING:
                names[f"_default_{name}"] = field.default
                argument = f"{name}=_default_{name}"
            elif field.default_factory is not _MISSING:
                names[f"_make_{name}"] = field.default_factory
                argument = f"{name}=_MISSING"
                value = f"_make_{name}() if {name} is _MISSING else {name}" if field.init else f"_make_{name}()"
            if field.init:
                (keyword if field.kw_only else plain).append(argument)
            elif field.default is not _MISSING:
                value = f"_default_{name}"
            body.append(f"  _set(self, {name!r}, {value})")
        if hasattr(owner, "__post_init__"):
            body.append("  self.__post_init__()")
        arguments = ", ".join(["self", *plain, *(["*"] if keyword else []), *keyword])
        exec(f"def __init__({arguments}):\n" + ("\n".join(body) or "  pass"), names)  # noqa: S102  # as dataclasses does; names are identifiers
        names["__init__"].__qualname__ = f"{owner.__qualname__}.__init__"
        return names["__init__"]

    def compiled(*classes):
        """Compile the classes' ``__init__`` now: for those whose first object is made in a container child, so that no child does it again."""
        for owner in classes:
            if hasattr(owner.__init__, "__record__"):
                owner.__init__ = _compiled(owner)

    def _values(self, chosen):
        return tuple(getattr(self, name) for name, field in self.__dataclass_fields__.items() if chosen(field))

    def _eq(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self is other or _values(self, lambda f: f.compare) == _values(other, lambda f: f.compare)

    def _hash(self):
        return hash(_values(self, lambda f: f.compare if f.hash is None else f.hash))

    def _repr(self):
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name, field in self.__dataclass_fields__.items() if field.repr)
        return f"{self.__class__.__qualname__}({shown})"

    def _refuse_setting(self, name, value):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_deleting(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def _state(self):
        return [getattr(self, name) for name in self.__dataclass_fields__]

    def _restore(self, state):
        for name, value in zip(self.__dataclass_fields__, state, strict=True):
            _set(self, name, value)

    _SHARED = {
        "__eq__": _eq,
        "__hash__": _hash,
        "__repr__": _repr,
        "__setattr__": _refuse_setting,
        "__delattr__": _refuse_deleting,
        "__getstate__": _state,
        "__setstate__": _restore,
    }
