"""What becomes of every container in the scope: kept, made, replaced or removed (the convergence table). Pure."""

from __future__ import annotations

from compose import graph
from compose.convert import names
from compose.model import Service
from compose.planner.convergence import Action, Change, Convergence, Replica
from compose.planner.divergence import cause_to_replace
from compose.planner.scope import expected
from compose.planner.world import is_temporary, number_of
from runtime.spec import VolumeMount
from runtime.state import ContainerState


def decide(work: Convergence) -> None:
    """Fill ``replicas`` and ``removed``, dependencies first, then what restarts because something it depends on is replaced."""
    for service in work.scope:
        if service.provider is None:
            _decide_service(work, service)
    for service in work.scope:
        _follow_restarts(work, service)
    _remove_volume_users_first(work)


def _decide_service(work: Convergence, service: Service) -> None:
    wanted = expected(work, service.name)
    causes = {c.spec.id: cause_to_replace(work, service, c) for c in work.world.replicas.get(service.name, ())}
    stay, surplus = _divide(work.world.replicas.get(service.name, ()), causes, wanted)
    kept = [_existing(work, service, c, causes[c.spec.id]) for c in sorted(stay, key=number_of)]
    highest = max((number_of(c) for c in (*stay, *surplus)), default=0)
    made = [_new(work, service, highest + 1 + i) for i in range(wanted - len(kept))]
    work.replicas[service.name] = [*kept, *made]
    for container in surplus:
        cause = f"scaled down to {wanted}" if len(stay) == wanted else "half replaced"
        work.removed.append(_replica(work, service, container, Action.REMOVE, cause))


def _divide(
    containers: list[ContainerState] | tuple[()], causes: dict[str, str], wanted: int
) -> tuple[list[ContainerState], list[ContainerState]]:
    """Who stays and who goes: what is out of date goes first, then what has a temporary name, then the highest number; no number twice."""
    stay: list[ContainerState] = []
    surplus: list[ContainerState] = []
    taken: set[int] = set()
    for container in sorted(containers, key=lambda c: (bool(causes[c.spec.id]), is_temporary(c), number_of(c))):
        fits = len(stay) < wanted and number_of(container) not in taken
        (stay if fits else surplus).append(container)
        taken.update((number_of(container),) if fits else ())
    return stay, surplus


def _existing(work: Convergence, service: Service, container: ContainerState, cause: str) -> Replica:
    return _replica(work, service, container, Action.REPLACE if cause else Action.KEEP, cause)


def _replica(work: Convergence, service: Service, container: ContainerState, action: Action, cause: str) -> Replica:
    number = number_of(container)
    name = names.container_name(work.project, service, number, compatibility=work.intent.compatibility)
    if action is not Action.REPLACE and not is_temporary(container):
        name = container.spec.name
    identity = names.identity(work.snapshot.nonce, "container", name) if action is Action.REPLACE else container.spec.id
    key = work.key(container)
    return Replica(service=service, number=number, name=name, action=action, id=identity, key=key, cause=cause, current=container)


def _new(work: Convergence, service: Service, number: int) -> Replica:
    name = names.container_name(work.project, service, number, compatibility=work.intent.compatibility)
    identity = names.identity(work.snapshot.nonce, "container", name)
    key = f"{service.name}-{number}"
    return Replica(service=service, number=number, name=name, action=Action.CREATE, id=identity, key=key, cause="not there")


def _follow_restarts(work: Convergence, service: Service) -> None:
    for dependency in graph.dependencies(service).values():
        replaced = any(r.action is Action.REPLACE for r in work.replicas.get(dependency.service, ()))
        if dependency.restart and replaced:
            for replica in work.replicas.get(service.name, ()):
                if replica.action is Action.KEEP and replica.running:
                    replica.bounce = replica.bounce or f"depends on {dependency.service}, which is replaced"


def _remove_volume_users_first(work: Convergence) -> None:
    renewed = {names.volume_name(work.project, k) for k, c in work.volumes.items() if c is Change.RENEW}
    for replica in work.all_replicas() if renewed else ():
        mounts = replica.current.spec.mounts if replica.current else ()
        if any(isinstance(m, VolumeMount) and m.volume in renewed for m in mounts):
            replica.remove_first = True
