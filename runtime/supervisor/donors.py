"""Finding the processes whose namespaces a container joins: in this project's memory, or in another project's state. In the supervisor's worker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runtime.store import entries, read_file
from runtime.supervisor.keeper import start_time

if TYPE_CHECKING:
    from runtime.supervisor.services import Services


def donor_pids(services: Services, ids: Iterable[str]) -> dict[str, int]:
    """The first processes of the containers that run; one that does not is left out."""
    found = ((i, _own(services, i) or _foreign(services, i)) for i in ids)
    return {i: pid for i, pid in found if pid}


def _own(services: Services, container_id: str) -> int:
    container = services.containers.get(container_id)
    return container.state.pid if container is not None and not container.is_launching else 0


def _foreign(services: Services, container_id: str) -> int:
    for project in entries(services.paths.projects):
        text = read_file(f"{services.paths.container(project, container_id)}/state.json")
        if text is not None:
            state = json.loads(text)
            pid = int(state.get("pid", 0))
            return pid if pid and start_time(pid) == state.get("pid_start") else 0
    return 0
