"""What the parts of the worker share: one object of each kind, made once. In the supervisor's worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING

from runtime.record import dataclass
from runtime.store import Paths

if TYPE_CHECKING:
    from runtime.supervisor.container import Container
    from runtime.supervisor.events import Events
    from runtime.supervisor.keeping import Keeping
    from runtime.supervisor.loop import Loop
    from runtime.supervisor.nameserver import Nameserver
    from runtime.supervisor.ports import Ports
    from runtime.supervisor.reaping import Reaping


@dataclass(slots=True, kw_only=True)
class Services:
    """The worker's parts; ``containers`` are those that live or were asked about."""

    project: str
    paths: Paths
    loop: Loop
    keeping: Keeping
    reaping: Reaping
    events: Events
    nameserver: Nameserver
    ports: Ports
    ended: Callable[[Container], None]
    leave: Callable[[], None]
    containers: dict[str, Container] = field(default_factory=dict)

    def directory(self, container_id: str) -> str:
        """Where a container of the project lies on disk."""
        return self.paths.container(self.project, container_id)
