"""What ``config --explain`` tells: which values were overridden, and which variables went where. Kept only when asked for."""

from __future__ import annotations

from dataclasses import field

from compose.schema.tree import Origin, Value
from runtime.record import dataclass


@dataclass(slots=True)
class History:
    """Overridden values by path, newest last, and the variables used at each place."""

    overridden: dict[str, list[tuple[Origin | None, Value]]] = field(default_factory=dict)
    variables: dict[int, list[tuple[str, str | None]]] = field(default_factory=dict)
    kept: list[Origin] = field(default_factory=list)

    def replaced(self, path: tuple[str, ...], origin: Origin | None, value: Value) -> None:
        """A value gave way to a later one."""
        self.overridden.setdefault(".".join(path), []).append((origin, value))

    def used(self, origin: Origin | None, name: str, value: str | None) -> None:
        """A variable was looked up for the value at ``origin``."""
        if origin is not None:
            self.kept.append(origin)  # so that ids stay those of the nodes
            self.variables.setdefault(id(origin), []).append((name, value))
