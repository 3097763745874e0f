"""What a container's spec is decided with, beside its service: the project, the snapshot, networks, books, and the containers beside it. Pure."""

from __future__ import annotations

from dataclasses import field

from compose.convert.books import AddressBook, PortBook
from compose.convert.names import image_name
from compose.errors import PlanError
from compose.model import Project, Service
from runtime.record import dataclass
from runtime.spec import ContainerSpec, NetworkSpec
from runtime.state import ImageState, Snapshot


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """``networks`` are by key; ``standing`` holds, per service, the specs of the containers there will be, lowest number first."""

    project: Project
    snapshot: Snapshot
    addresses: AddressBook
    ports: PortBook
    networks: dict[str, NetworkSpec] = field(default_factory=dict)
    standing: dict[str, list[ContainerSpec]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    renew_anonymous: bool = False
    compatibility: bool = False

    def image(self, service: Service) -> ImageState | None:
        """The image of a service, when the store has it."""
        return self.snapshot.images.get(image_name(self.project, service, compatibility=self.compatibility))

    def donor(self, reference: str, subject: str) -> ContainerSpec:
        """The container behind ``service:x`` or ``container:x``. Raises PlanError when it is not there ("cannot share … with service x")."""
        kind, _, name = reference.partition(":")
        if kind == "service":
            containers = self.standing.get(name)
            if containers:
                return containers[0]
            raise PlanError(f"cannot share {subject} with service {name}: container missing", hint=f"start it: up {name}")
        return self._container(name)

    def warn(self, text: str) -> None:
        """Say it once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def _container(self, name: str) -> ContainerSpec:
        own = (c.spec for c in self.snapshot.containers if name in (c.spec.name, c.spec.id))
        found = next(own, None) or (self.snapshot.neighbours[name].spec if name in self.snapshot.neighbours else None)
        if found is None:
            raise PlanError(f"No such container: {name}")
        return found
