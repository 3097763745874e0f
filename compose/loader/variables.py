"""The variables that a project's files mention, with defaults; for ``config --variables``. Reads the files, substitutes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from compose.loader.options import LoadOptions
from compose.loader.project import load_tree
from compose.loader.template import InvalidTemplate, variables
from compose.schema.tree import Map, Seq, Value
from runtime.record import dataclass


@dataclass(slots=True)
class Mentioned:
    """One variable: whether a file insists on it, what stands in for it, what replaces it when it is set."""

    name: str
    required: bool = False
    default: str = ""
    alternate: str = ""


def mentioned(options: LoadOptions) -> list[Mentioned]:
    """Every variable, sorted by name. Raises LoadError."""
    found: dict[str, Mentioned] = {}
    for text in _texts(load_tree(options).tree):
        try:
            for variable in variables(text):
                item = found.setdefault(variable.name, Mentioned(variable.name))
                match variable.operator[-1:]:
                    case "-":
                        item.default = item.default or variable.rest
                    case "+":
                        item.alternate = item.alternate or variable.rest
                    case "?":
                        item.required = True
                    case _:
                        pass
        except InvalidTemplate:
            continue
    return [found[name] for name in sorted(found)]


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        if "$" in value:
            yield value
    elif isinstance(value, (Map, Seq)):
        for item in value.values() if isinstance(value, Map) else value:
            yield from _texts(item)
