"""``down``: stop and delete, dependents first; networks, volumes and images after their users. Pure."""

from __future__ import annotations

from compose import graph
from compose.convert import names
from compose.convert.networks import DEFAULT_BRIDGE
from compose.intent import Down
from compose.model import Project
from compose.plan import Plan, RemoveImage, RemoveNetwork, RemoveVolume, RunProvider
from compose.planner import draft
from compose.planner.draft import Draft
from compose.planner.world import World, is_one_off, service_of
from runtime.spec import VolumeMount
from runtime.state import ContainerState, Snapshot

_REMOVING = ("Removing", "Removed")


def plan_down(project: Project, snapshot: Snapshot, intent: Down) -> Plan:
    """The steps of ``down``."""
    graph.require(project, intent.services)
    world, plan = World(snapshot), Draft(project.name)
    chosen = _services(project, intent)
    leaving = [c for n in chosen for c in world.replicas.get(n, ())]
    orphans = _orphans(project, world, intent, chosen)
    stops = _stop_all(project, world, plan, chosen, intent)
    for container in leaving:
        _remove(project, world, plan, container, intent, stops)
    for container in orphans:
        _stop_orphan(world, plan, container, intent)
        _remove(project, world, plan, container, intent, stops, cause="orphan")
    gone = plan.leaves()
    _networks(project, snapshot, plan, intent, [*leaving, *orphans], gone)
    if intent.volumes:
        _volumes(project, snapshot, plan, gone)
    if intent.rmi:
        _images(project, snapshot, plan, intent, chosen, gone)
    _say_what_stays(world, plan, intent)
    return plan.plan()


def _services(project: Project, intent: Down) -> tuple[str, ...]:
    """The services that go, dependents first."""
    if not intent.services:
        return tuple(reversed(graph.order(project)))
    enabled = graph.enable(project, intent.services)
    wanted = {*intent.services} | (graph.dependents(enabled, intent.services) if intent.dependents else frozenset())
    return tuple(reversed(graph.order(enabled, wanted)))


def _orphans(project: Project, world: World, intent: Down, chosen: tuple[str, ...]) -> list[ContainerState]:
    """With ``remove_orphans`` also every one-off, running or not."""
    if not intent.remove_orphans:
        return []
    unknown = [c for c in world.orphans(project) if not is_one_off(c) and service_of(c) not in chosen]
    return [*unknown, *world.one_offs]


def _stop_all(project: Project, world: World, plan: Draft, chosen: tuple[str, ...], intent: Down) -> dict[str, list[str]]:
    """Stop steps per service; a service stops when all that depend on it have."""
    stops: dict[str, list[str]] = {}
    services = {**project.services, **project.disabled_services}
    for name in chosen:
        before = [s for other, steps in stops.items() if name in graph.dependencies(services[other]) for s in steps]
        service = services[name]
        stops[name] = []
        if service.provider is not None:
            operation = RunProvider(project=project.name, service=name, provider=service.provider, command="down")
            stops[name].append(plan.add(f"{name}.provider", operation, after=before, cause="down", resource=name, words=_REMOVING))
        for container in world.replicas.get(name, ()):
            key = world.keys[container.spec.id]
            words = ("Stopping", "Stopped")
            stops[name] += draft.stop(
                plan, key, container, service=service, timeout=intent.timeout, after=before, cause="down", words=words
            )
        stops[name] = stops[name] or before
    return stops


def _stop_orphan(world: World, plan: Draft, container: ContainerState, intent: Down) -> None:
    draft.stop(plan, world.keys[container.spec.id], container, timeout=intent.timeout, cause="orphan", words=("Stopping", "Stopped"))


def _remove(
    project: Project, world: World, plan: Draft, container: ContainerState, intent: Down, stops: dict[str, list[str]], cause: str = "down"
) -> None:
    """Remove after its stop, and after those that live in its namespaces are gone."""
    after = [plan.stops[container.spec.id]] if container.spec.id in plan.stops else []
    name = service_of(container)
    services = {**project.services, **project.disabled_services}
    for other in stops:
        if name in graph.donors(services[other]):
            after += [f"{world.keys[c.spec.id]}.remove" for c in world.replicas.get(other, ())]
    draft.remove(plan, world.keys[container.spec.id], container, after=after, cause=cause, volumes=intent.volumes)


def _networks(
    project: Project, snapshot: Snapshot, plan: Draft, intent: Down, leaving: list[ContainerState], gone: tuple[str, ...]
) -> None:
    """Networks of the project; with services named only those these services use. Somebody else still on one is the engine's warning."""
    removed = {f"{c.spec.id}" for c in leaving}
    used = {e.network for c in leaving for e in c.spec.endpoints}
    external = {n.name for n in project.networks.values() if n.external}
    for name, state in snapshot.networks.items():
        ours = state.spec.labels.get(names.PROJECT) == project.name and name not in external
        if (ours and (not intent.services or name in used)) or _last_on_default_bridge(project, snapshot, name, removed):
            users = [c for c in snapshot.containers if c.spec.id in removed and any(e.network == name for e in c.spec.endpoints)]
            after = [s for s in gone if s.endswith(".remove")] if users else ()
            cause = "down" if ours else "nobody is on it any more"
            plan.add(f"net:{name}.remove", RemoveNetwork(name=name), after=after, cause=cause, resource=f"Network {name}", words=_REMOVING)


def _last_on_default_bridge(project: Project, snapshot: Snapshot, name: str, removed: set[str]) -> bool:
    """Whether this is the bridge all projects share, and nobody is left on it but what goes now; empty, its users' projects take it along."""
    state = snapshot.networks[name]
    concerned = bool(state.leases) or any(s.network_mode == "bridge" for s in project.services.values())
    return name == DEFAULT_BRIDGE and not state.spec.project and concerned and removed.issuperset(state.leases.values())


def _volumes(project: Project, snapshot: Snapshot, plan: Draft, gone: tuple[str, ...]) -> None:
    declared = {v.name for v in project.volumes.values() if not v.external}
    external = {v.name for v in project.volumes.values() if v.external}
    mounted = {m.volume for c in snapshot.containers for m in c.spec.mounts if isinstance(m, VolumeMount)}
    for name, state in snapshot.volumes.items():
        labels = state.spec.labels
        ours = labels.get(names.PROJECT) == project.name and names.VOLUME in labels
        left_over = state.spec.anonymous and state.spec.project == project.name and name not in mounted  # by --renew-anon-volumes
        if left_over or ((ours or name in declared) and name not in external):
            words = _REMOVING
            plan.add(
                f"vol:{name}.remove", RemoveVolume(name=name), after=gone, cause="down --volumes", resource=f"Volume {name}", words=words
            )


def _images(project: Project, snapshot: Snapshot, plan: Draft, intent: Down, chosen: tuple[str, ...], gone: tuple[str, ...]) -> None:
    services = {**project.services, **project.disabled_services}
    for name in sorted(chosen):
        service = services[name]
        reference = names.image_name(project, service)
        if intent.rmi == "local" and service.image:
            continue
        if service.provider is None and reference in snapshot.images:
            operation = RemoveImage(reference=reference)
            cause = f"down --rmi {intent.rmi}"
            plan.add(f"image:{reference}.remove", operation, after=gone, cause=cause, resource=f"Image {reference}", words=_REMOVING)


def _say_what_stays(world: World, plan: Draft, intent: Down) -> None:
    if intent.remove_orphans or intent.services:
        return
    if world.one_offs:
        listed = ", ".join(c.spec.name for c in world.one_offs)
        plan.warn(f"containers that `run` made are kept: {listed}; down --remove-orphans removes them")
