"""Which services an ``up`` is about, and whether what was asked is possible at all. Pure."""

from __future__ import annotations

from compose import graph
from compose.convert.ports import refuse_clash
from compose.errors import PlanError
from compose.model import Project
from compose.planner.convergence import Convergence, Role


def select(work: Convergence) -> None:
    """Fill ``roles`` and ``order``. Raises PlanError for unknown services, disabled dependencies, cycles, impossible scales."""
    project, intent = work.project, work.intent
    graph.require(project, (*intent.services, *intent.scale))
    asked = intent.services or tuple(project.services)
    needed = asked if intent.no_deps else graph.closure(project, asked)
    work.roles = dict.fromkeys(needed, Role.NEEDED) | dict.fromkeys(asked, Role.ASKED)
    if not intent.no_deps:
        for name in needed:
            graph.check_service(project, name)
    _refuse_scales(work)
    _refuse_shared_names(work)
    widen(work, ())


def widen(work: Convergence, volumes: tuple[str, ...]) -> None:
    """Add the followers, and put everything in order."""
    _follow(work, volumes)
    work.order = graph.order(work.project, work.roles)


def _follow(work: Convergence, volumes: tuple[str, ...]) -> None:
    """Add services that have containers and are tied to the scope: shared namespaces, ``restart: true``, one of ``volumes``."""
    candidates = [s for n, s in work.project.services.items() if n not in work.roles and n in work.world.replicas]
    grown = True
    while grown and candidates:
        grown = False
        for service in list(candidates):
            tied = {n for n, d in graph.dependencies(service).items() if d.restart} | {*graph.donors(service)}
            mounted = {v.source for v in service.volumes if v.type == "volume"}
            if tied & work.roles.keys() or mounted.intersection(volumes):
                work.roles[service.name] = Role.FOLLOWER
                candidates.remove(service)
                grown = True


def expected(work: Convergence, name: str) -> int:
    """How many replicas a service shall have; a follower keeps what it has."""
    if work.roles[name] is Role.FOLLOWER:
        return len(work.world.replicas.get(name, ()))
    return work.intent.scale.get(name, work.project.services[name].replicas)


def _refuse_scales(work: Convergence) -> None:
    for name, role in work.roles.items():
        count = expected(work, name)
        service = work.project.services[name]
        if count < 0:
            raise PlanError(f"services.{name}.scale: must be greater than or equal to 0")
        if service.container_name and count > 1:
            raise PlanError(
                f'The "{name}" service is using the custom container name "{service.container_name}". Docker requires each container to have a '
                "unique name. Remove the custom name to scale the service",
                hint=f"remove container_name, or scale {name} to 1",
            )
        if service.ports and role is not Role.FOLLOWER:
            refuse_clash(service, count)


def _refuse_shared_names(work: Convergence) -> None:
    owners: dict[str, str] = {}
    for name in sorted(work.roles):
        container_name = work.project.services[name].container_name
        other = owners.setdefault(container_name, name) if container_name else name
        if other != name:
            raise PlanError(f'services.{name}: container name "{container_name}" is already in use by service {other}')


def enabled(project: Project, names: tuple[str, ...]) -> Project:
    """The project with the named services enabled."""
    return graph.enable(project, names) if project.disabled_services or names else project
