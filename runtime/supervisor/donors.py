"""Finding the processes whose namespaces a container joins: in this project's memory, or in another project's state. In the supervisor's worker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runtime.errors import LaunchError
from runtime.store import entries, read_file
from runtime.supervisor.keeper import start_time

if TYPE_CHECKING:
    from runtime.supervisor.services import Services


def donor_pids(services: Services, ids: Iterable[str]) -> dict[str, int]:
    """The first processes of these containers. Raises LaunchError for one that does not run."""
    found = {i: _own(services, i) or _foreign(services, i) for i in ids}
    for container_id, pid in found.items():
        if not pid:
            name, status = _described(services, container_id)
            raise LaunchError("namespaces", f"cannot join a namespace of a non running container: container {name} is {status}")
    return found


def _described(services: Services, container_id: str) -> tuple[str, str]:
    """Its name and status, as far as anybody knows."""
    for project in entries(services.paths.projects):
        directory = services.paths.container(project, container_id)
        if (text := read_file(f"{directory}/spec.json")) is not None:
            state = json.loads(read_file(f"{directory}/state.json") or b"{}")
            return str(json.loads(text)["name"]), str(state.get("status", "created"))
    return container_id[:12], "gone"


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
