"""``start``, ``stop``, ``restart``, ``kill``, ``rm``, ``pause``, ``unpause``: what happens to containers that are there. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from compose import graph
from compose.errors import PlanError
from compose.intent import Kill, Pause, Restart, Rm, Start, Stop, Unpause, Up
from compose.model import Project, Service
from compose.plan import KillContainer, PauseContainer, Plan, RestartContainer, RunHook, RunProvider, UnpauseContainer
from compose.planner import draft, scope, starting
from compose.planner.convergence import Action, Convergence, Replica
from compose.planner.draft import Draft
from compose.planner.world import World, number_of
from runtime.state import ContainerState, Snapshot

_STOPPING = ("Stopping", "Stopped")


def plan_stop(project: Project, snapshot: Snapshot, intent: Stop) -> Plan:
    """Stop what is named and runs, dependents first; one-offs are left alone."""
    world, plan = World(snapshot), Draft(project.name)
    _stop_services(project, world, plan, _chosen(project, intent.services), intent.timeout, "stop")
    return plan.plan()


def plan_restart(project: Project, snapshot: Snapshot, intent: Restart) -> Plan:
    """Restart in place, dependencies first; exited containers come up too; who has ``restart: true`` on one of them follows."""
    world, plan = World(snapshot), Draft(project.name)
    asked = _chosen(project, intent.services)
    followers = {} if intent.no_deps else _restart_followers(project, asked)
    done: dict[str, list[str]] = {}
    services = _all(project)
    for name in _ordered(project, (*asked, *followers)):
        before = [s for d in graph.dependencies(services[name]) for s in done.get(d, ())]
        containers = world.replicas.get(name, ())
        if name in followers:
            containers = [c for c in containers if c.running]
        cause = f"depends on {followers[name]}, which is restarted" if name in followers else "restart"
        done[name] = [_restart(world, plan, services[name], c, intent.timeout, before, cause) for c in containers] or before
    return plan.plan()


def plan_kill(project: Project, snapshot: Snapshot, intent: Kill) -> Plan:
    """Signal every running container at once."""
    world, plan = World(snapshot), Draft(project.name)
    containers = _running(world, _chosen(project, intent.services))
    if intent.remove_orphans:
        containers += [c for c in world.orphans(project) if c.running]
    for container in containers:
        operation = KillContainer(container=container.spec.id, name=container.spec.name, signal=intent.signal)
        _add(world, plan, "kill", operation, container, ("Killing", "Killed"))
    return plan.plan()


def plan_rm(project: Project, snapshot: Snapshot, intent: Rm) -> Plan:
    """Delete stopped containers; with ``stop`` running ones too. Services that are not in the model have no containers here."""
    world, plan = World(snapshot), Draft(project.name)
    chosen = _chosen(project, intent.services)
    if intent.stop:
        _stop_services(project, world, plan, chosen, None, "rm --stop")
    for container in (c for n in chosen for c in world.replicas.get(n, ())):
        if intent.stop or not container.running:
            after = [plan.stops[container.spec.id]] if container.spec.id in plan.stops else []
            draft.remove(plan, world.keys[container.spec.id], container, after=after, cause="rm", volumes=intent.volumes)
    return plan.plan()


def plan_pause(project: Project, snapshot: Snapshot, intent: Pause) -> Plan:
    """Freeze what runs; a frozen container is asked too, and the engine says that it is frozen already."""
    world, plan = World(snapshot), Draft(project.name)
    for container in _running(world, _chosen(project, intent.services)):
        operation = PauseContainer(container=container.spec.id, name=container.spec.name)
        _add(world, plan, "pause", operation, container, ("Pausing", "Paused"))
    return plan.plan()


def plan_unpause(project: Project, snapshot: Snapshot, intent: Unpause) -> Plan:
    """Thaw what is frozen; what runs is asked too, and the engine says that it is not frozen."""
    world, plan = World(snapshot), Draft(project.name)
    for container in _running(world, _chosen(project, intent.services)):
        operation = UnpauseContainer(container=container.spec.id, name=container.spec.name)
        _add(world, plan, "unpause", operation, container, ("Unpausing", "Unpaused"))
    return plan.plan()


def plan_start(project: Project, snapshot: Snapshot, intent: Start) -> Plan:
    """Start the containers that are there, those of dependencies first, with the conditions of ``depends_on``; nothing is made.

    Raises PlanError when there is none at all.
    """
    enabled, world = graph.enable(project, intent.services), World(snapshot)
    asked = graph.closure(enabled, intent.services or enabled.services)
    if not world.replicas and asked:
        first = next(n for n in graph.order(enabled, asked))
        raise PlanError(f'service "{first}" has no container to start', hint="make one: pycompose up -d")
    counts = {n: len(world.replicas.get(n, ())) for n in asked}
    work = Convergence(enabled, snapshot, Up(services=intent.services, scale=counts, wait=intent.wait, wait_timeout=intent.wait_timeout))
    scope.select(work)
    for service in work.scope:
        work.replicas[service.name] = [_kept(work, service, c) for c in world.replicas.get(service.name, ())]
    starting.start(work)
    work.draft.notes.clear()
    return work.draft.plan()


def _kept(work: Convergence, service: Service, container: ContainerState) -> Replica:
    spec = container.spec
    key, number = work.key(container), number_of(container)
    return Replica(service=service, number=number, name=spec.name, action=Action.KEEP, id=spec.id, key=key, current=container, spec=spec)


def _all(project: Project) -> dict[str, Service]:
    return {**project.services, **project.disabled_services}


def _chosen(project: Project, names: tuple[str, ...]) -> tuple[str, ...]:
    """The named services (also of a disabled profile), or all enabled ones."""
    graph.require(project, names)
    return names or tuple(project.services)


def _ordered(project: Project, names: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(names)
    return graph.order(graph.enable(project, wanted), wanted)


def _stop_services(project: Project, world: World, plan: Draft, names: tuple[str, ...], timeout: float | None, cause: str) -> None:
    services, stops = _all(project), dict[str, list[str]]()
    for name in reversed(_ordered(project, names)):
        before = [s for other, steps in stops.items() if name in graph.dependencies(services[other]) for s in steps]
        stops[name] = []
        provider = services[name].provider
        if provider is not None:
            operation = RunProvider(project=project.name, service=name, provider=provider, command="stop")
            stops[name].append(plan.add(f"{name}.provider", operation, after=before, cause=cause, resource=name, words=_STOPPING))
        for container in world.replicas.get(name, ()):
            key = world.keys[container.spec.id]
            stops[name] += draft.stop(
                plan, key, container, service=services[name], timeout=timeout, after=before, cause=cause, words=_STOPPING
            )
        stops[name] = stops[name] or before


def _restart_followers(project: Project, asked: tuple[str, ...]) -> dict[str, str]:
    """Service → the one it follows, over any number of ``restart: true``."""
    followers: dict[str, str] = {}
    waiting = list(asked)
    while waiting:
        leader = waiting.pop()
        for service in project.services.values():
            dependency = graph.dependencies(service).get(leader)
            if dependency is not None and dependency.restart and service.name not in followers and service.name not in asked:
                followers[service.name] = leader
                waiting.append(service.name)
    return followers


def _restart(
    world: World, plan: Draft, service: Service, container: ContainerState, timeout: float | None, before: list[str], cause: str
) -> str:
    key = world.keys[container.spec.id]
    for index, hook in enumerate(service.pre_stop if container.running else ()):
        stopping = RunHook(container=container.spec.id, service=service.name, kind="pre_stop", hook=hook)
        before = [plan.add(f"{key}.pre_stop[{index}]", stopping, after=before, cause="hook")]
    operation = RestartContainer(container=container.spec.id, name=container.spec.name, timeout=timeout)
    shown, words = draft.resource(container), ("Restarting", "Started")
    last = plan.add(f"{key}.restart", operation, after=before, cause=cause, resource=shown, words=words)
    for index, hook in enumerate(service.post_start):
        started = RunHook(container=container.spec.id, service=service.name, kind="post_start", hook=hook)
        last = plan.add(f"{key}.post_start[{index}]", started, after=(last,), cause="hook")
    return last


def _running(world: World, names: tuple[str, ...]) -> list[ContainerState]:
    return [c for n in names for c in world.replicas.get(n, ()) if c.running]


def _add(
    world: World,
    plan: Draft,
    verb: str,
    operation: KillContainer | PauseContainer | UnpauseContainer,
    container: ContainerState,
    words: draft.Words,
) -> None:
    plan.add(f"{world.keys[container.spec.id]}.{verb}", operation, cause=verb, resource=draft.resource(container), words=words)
