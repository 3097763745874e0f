"""From an operation to the engine's method of the same name: one table, and the few arguments the engine wants in its own terms. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import cast, get_args

from compose.plan import Operation, RunHook, RunProvider
from runtime.spec import ExecSpec

Performer = Callable[..., Awaitable[object]]


class Dispatch:
    """Carries out operations: by ``instead`` when it has the operation's kind, otherwise by the engine's method."""

    def __init__(self, engine: object, instead: Mapping[type, Performer]) -> None:
        self._engine = engine
        self._instead = instead

    async def perform(self, operation: Operation) -> None:
        """Carry out one operation."""
        performer = self._instead.get(type(operation))
        if performer is not None:
            await performer(operation)
            return
        method = cast("Callable[..., Awaitable[object]]", getattr(self._engine, method_name(type(operation))))
        await method(**arguments(operation))


def arguments(operation: Operation) -> dict[str, object]:
    """What the engine's method is called with: the operation's fields; hooks and providers in the runtime's own terms."""
    found = {name: getattr(operation, name) for name in _table()[type(operation)][1]}
    match operation:
        case RunHook(hook=hook):
            del found["hook"]
            found["process"] = ExecSpec(
                argv=hook.command,
                environment=hook.environment,
                working_dir=hook.working_dir or None,
                user=hook.user or None,
                privileged=hook.privileged,
            )
        case RunProvider(provider=provider):
            del found["provider"]
            found |= {"program": provider.type, "options": provider.options}
        case _:
            pass
    return found


def method_name(kind: type) -> str:
    """The engine's method for a kind of operation: its name in snake case."""
    return _table()[kind][0]


@cache
def _table() -> dict[type, tuple[str, tuple[str, ...]]]:
    return {kind: (_snake_case(kind.__name__), tuple(f.name for f in fields(kind))) for kind in get_args(Operation)}


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
