"""The snapshot by service: which containers are replicas, one-offs, orphans. Pure."""

from __future__ import annotations

import re

from compose.convert import names
from compose.model import Project
from runtime.state import ContainerState, Snapshot, Status

_TEMPORARY = re.compile(r"[0-9a-f]{12}_")


class World:
    """An index over the project's containers as their labels tell."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.replicas: dict[str, list[ContainerState]] = {}
        self.one_offs: list[ContainerState] = []
        for container in snapshot.containers:
            if is_one_off(container):
                self.one_offs.append(container)
            else:
                self.replicas.setdefault(service_of(container), []).append(container)
        for containers in self.replicas.values():
            containers.sort(key=lambda c: (number_of(c), is_temporary(c), c.spec.name))
        self.keys = _keys(self)

    def orphans(self, project: Project) -> list[ContainerState]:
        """Containers of services the model does not have (disabled ones it has), and one-offs that ended."""
        unknown = [c for s, cs in self.replicas.items() if s not in project.services and s not in project.disabled_services for c in cs]
        ended = [c for c in self.one_offs if c.process.status in (Status.EXITED, Status.DEAD)]
        return [*unknown, *ended]


def service_of(container: ContainerState) -> str:
    """The service a container belongs to, "" when it has no label."""
    return container.spec.labels.get(names.SERVICE, "")


def number_of(container: ContainerState) -> int:
    """The replica's number; 0 for one-offs."""
    text = container.spec.labels.get(names.NUMBER, "")
    return int(text) if text.isdecimal() else 0


def is_one_off(container: ContainerState) -> bool:
    """Whether ``run`` made it."""
    return container.spec.labels.get(names.ONE_OFF) == "True"


def _keys(world: World) -> dict[str, str]:
    """Container id → what its steps are called after: "web-1"; the name for a one-off and for a second container of the same number."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for containers in world.replicas.values():
        for container in containers:
            key = f"{service_of(container)}-{number_of(container)}"
            keys[container.spec.id] = container.spec.name if key in taken else key
            taken.add(key)
    return keys | {c.spec.id: f"one-off:{c.spec.name}" for c in world.one_offs}


def is_temporary(container: ContainerState) -> bool:
    """Whether it still has the name it got while replacing another: the command that made it did not get to the end."""
    return _TEMPORARY.match(container.spec.name) is not None
