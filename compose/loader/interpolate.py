"""The phase that replaces ``${…}`` in the values of one document: strings only, never keys. Runs in the command's process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compose.errors import Problem
from compose.loader.document import Pending
from compose.loader.template import InvalidTemplate, Lookup, MissingVariable, substitute
from compose.schema.base import Locate
from compose.schema.tree import Map, Origin, path_text
from runtime.record import dataclass

Trace = Callable[["Origin | None", str, "str | None"], None]


@dataclass(slots=True)
class Interpolation:
    """How variables are found, and who hears of it: ``unset`` of names without a value, ``trace`` of every use."""

    lookup: Lookup
    unset: Callable[[str], None]
    trace: Trace | None = None


def apply(pending: Sequence[Pending], how: Interpolation, locate: Locate) -> list[Problem]:
    """Replace every expression in place; the mistakes."""
    problems: list[Problem] = []
    for container, key, path in pending:
        value = container[key]  # type: ignore[index]
        if type(value) is not str or "$" not in value:
            continue
        origin = container.where(str(key)) if isinstance(container, Map) else container.where(int(key))
        try:
            container[key] = substitute(value, _traced(how, origin), how.unset)  # type: ignore[index]
        except InvalidTemplate as e:
            hint = "a dollar that is meant is written $$; forms are ${X}, ${X:-default}, ${X:?message} and ${X:+other}"
            problems.append(Problem(path=path_text(path), message=str(e), position=locate(origin), hint=hint))
        except MissingVariable as e:
            problems.append(
                Problem(path=path_text(path), message=str(e), position=locate(origin), hint=f"set {e.name} in the environment or in .env")
            )
    return problems


def _traced(how: Interpolation, origin: Origin | None) -> Lookup:
    if how.trace is None:
        return how.lookup
    trace = how.trace

    def lookup(name: str) -> str | None:
        value = how.lookup(name)
        trace(origin, name, value)
        return value

    return lookup
