"""A project known from labels alone: what ``down``, ``stop`` or ``ps`` work on when there is only a project name. Pure."""

from __future__ import annotations

from typing import cast

from compose.convert import names
from compose.model import Condition, Dependency, Network, Project, Service, Volume
from compose.planner.world import is_one_off, service_of
from runtime.state import ContainerState, Snapshot


def project_from_snapshot(snapshot: Snapshot) -> Project:
    """Services (with image, dependencies, replica count), networks and volumes as the labels tell them. One-offs make no service."""
    replicas = [c for c in snapshot.containers if not is_one_off(c) and service_of(c)]
    services: dict[str, Service] = {}
    for container in replicas:
        name = service_of(container)
        scale = sum(service_of(c) == name for c in replicas)
        services.setdefault(name, _service(name, container, scale))
    first = replicas[0].spec.labels if replicas else {}
    files = first.get(names.CONFIG_FILES, "")
    return Project(
        name=snapshot.project,
        working_dir=first.get(names.WORKING_DIR, ""),
        files=tuple(files.split(",")) if files else (),
        services=dict(sorted(services.items())),
        networks=_networks(snapshot),
        volumes=_volumes(snapshot),
    )


def dependencies_of_label(text: str) -> dict[str, Dependency]:
    """``db:service_healthy:true,cache:service_started:false`` as dependencies."""
    found = {}
    for entry in filter(None, text.split(",")):
        name, condition, restart = (*entry.split(":"), "", "")[:3]
        found[name] = Dependency(service=name, condition=cast("Condition", condition or "service_started"), restart=restart == "true")
    return found


def _service(name: str, container: ContainerState, scale: int) -> Service:
    depends_on = dependencies_of_label(container.spec.labels.get(names.DEPENDS_ON, ""))
    return Service(name=name, image=container.spec.image, depends_on=depends_on, scale=scale)


def _networks(snapshot: Snapshot) -> dict[str, Network]:
    ours = [n.spec for n in snapshot.networks.values() if n.spec.labels.get(names.PROJECT) == snapshot.project]
    keys = [(s.labels.get(names.NETWORK, s.name), s) for s in ours]
    return {key: Network(key=key, name=s.name) for key, s in keys}


def _volumes(snapshot: Snapshot) -> dict[str, Volume]:
    ours = [v.spec for v in snapshot.volumes.values() if v.spec.labels.get(names.PROJECT) == snapshot.project and not v.spec.anonymous]
    keys = [(s.labels.get(names.VOLUME, s.name), s) for s in ours]
    return {key: Volume(key=key, name=s.name) for key, s in keys}
