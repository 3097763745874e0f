"""What every attribute type can do: read what was written, check the merged result, show it again, describe itself as JSON Schema.

Runs in the command's process. A type reads one layer (one YAML document after interpolation) into canonical values: long forms, sizes in bytes,
durations in nanoseconds. Mistakes are collected in a ``Reading``; a value that cannot be used raises ``Rejected`` up to the next container.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, TypeAlias

from compose.errors import Position, Problem
from compose.schema.tree import Map, Origin, Seq, Value, kind, path_text

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
Locate: TypeAlias = "Callable[[Origin | None], Position | None]"


class Rejected(Exception):
    """A value was refused and the refusal is already recorded."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was most likely meant to be."""
    best: str | None = None
    limit = max(1, len(word) // 3) + 1
    for candidate in known:
        if abs(len(candidate) - len(word)) < limit and not set(word.lower()).isdisjoint(candidate.lower()):
            distance = _distance(word.lower().replace("-", "_"), candidate.lower().replace("-", "_"), limit)
            if distance < limit:
                best, limit = candidate, distance
    return best


def _distance(a: str, b: str, limit: int) -> int:
    """Edit distance (with swapped neighbours), or ``limit`` when it is not below that."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, ca in enumerate(a, 1):
        current = [i]
        for j, cb in enumerate(b, 1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (ca != cb))
            if i > 1 and j > 1 and ca == b[j - 2] and a[i - 2] == cb:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) >= limit:
            return limit
        before, row = row, current
    return min(row[-1], limit)


class Reading:
    """One pass over a tree: where we are, and the mistakes found so far.

    ``literal`` keeps expressions such as ``${X}`` as they are (``--no-interpolate``): a value that holds one cannot be judged.
    ``as_written`` also keeps the form of what nothing before the model needs in another (see ``Type.needed``).
    """

    __slots__ = ("as_written", "literal", "locate", "path", "problems", "warnings")

    def __init__(self, locate: Locate, *, literal: bool = False, as_written: bool = False) -> None:
        self.locate = locate
        self.literal = literal
        self.as_written = as_written
        self.path: list[str | int] = []
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def problem(self, message: str, origin: Origin | None, *, hint: str | None = None, at: Iterable[str | int] = ()) -> None:
        """Record a mistake at the present path (and ``at`` below it)."""
        path = path_text([*self.path, *at])
        self.problems.append(Problem(path=path, message=message, position=self.locate(origin), hint=hint))

    def reject(self, message: str, origin: Origin | None, *, hint: str | None = None) -> Rejected:
        """Record a mistake and give the exception to raise."""
        self.problem(message, origin, hint=hint)
        return Rejected()

    def wrong(self, expected: str, value: Value, origin: Origin | None, *, hint: str | None = None) -> Rejected:
        """Record that a value is of the wrong kind."""
        found = kind(value) if isinstance(value, (Map, Seq)) or value is None else f"{kind(value)} ({shown(value)})"
        if hint is None and isinstance(value, (int, float)) and not isinstance(value, bool) and "string" in expected:
            hint = f'write it in quotes: "{shown(value)}"'
        return self.reject(f"must be {expected}, but is {found}", origin, hint=hint)

    def unknown(self, key: str, container: Map, known: Iterable[str], what: str, *, warn: bool = False) -> None:
        """Record a key that does not belong here; ``warn`` only says so."""
        names = list(known)
        close = nearest(key, names)
        hint = f"did you mean {close!r}?" if close else f"allowed: {', '.join(sorted(names))}" if len(names) <= 12 else None
        if warn:
            self.warnings.append(f"{path_text([*self.path, key])}: unknown attribute is ignored" + (f" ({hint})" if hint else ""))
            return
        self.problem(f"unknown attribute {key!r}{f' of {what}' if what else ''}", container.place(key)[0], hint=hint, at=(key,))

    def undecided(self, value: Value) -> bool:
        """Whether ``value`` holds an expression that was asked to stay."""
        return self.literal and isinstance(value, str) and "$" in value


def shown(value: Value) -> str:
    """A scalar as a message quotes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Type:
    """One kind of attribute; by itself, one that is taken as it is. Subclasses say how theirs is read, checked, shown and described.

    They are plain classes with slots: making twenty data classes would cost every command 20 ms.
    """

    __slots__ = ()
    nullable: ClassVar[bool] = False
    needed: bool = False  # whether merging and normalising count on the canonical form
    noun: ClassVar[str] = "a value"

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        """The canonical form of what one layer says; raises Rejected."""
        return value

    def check(self, value: Value, origin: Origin | None, reading: Reading) -> None:
        """Judge the merged result: what is missing, what is there twice."""

    def show(self, value: Value, json: bool) -> Plain:
        """The value as ``config`` prints it."""
        return value  # type: ignore[return-value]

    def empty(self, value: Value) -> bool:
        """Whether ``config`` leaves the value out."""
        return value is None or value is False or value == 0 or value == "" or (isinstance(value, (Map, Seq)) and not value)

    def schema(self) -> dict[str, Plain]:
        """The JSON Schema of what may be written."""
        return {}


def one_of(*schemas: Mapping[str, Plain]) -> dict[str, Plain]:
    """A JSON Schema that takes any of ``schemas``."""
    return {"anyOf": [dict(s) for s in schemas]}
