"""The first half of an ``up``: networks, volumes, containers made, replaced and removed; nothing is started. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from compose import graph
from compose.convert import names
from compose.convert.endpoints import attachments, endpoint_spec
from compose.plan import ConnectContainer, CreateContainer, CreateNetwork, CreateVolume, RemoveNetwork, RemoveVolume, RenameContainer
from compose.planner import draft
from compose.planner.convergence import Action, Change, Convergence, Replica
from compose.planner.world import service_of
from runtime.network.ipam import mac_for
from runtime.spec import EndpointSpec, NetworkSpec, VolumeMount
from runtime.state import ContainerState


def make(work: Convergence) -> None:
    """Write the steps of the first half."""
    for service in reversed(work.scope):
        for replica in work.replicas.get(service.name, ()):
            if replica.stop_first or replica.remove_first or replica.bounce:
                _stop(work, replica)
    _remove_surplus(work)
    _networks(work)
    _volumes(work)
    for service in work.scope:
        for replica in work.replicas.get(service.name, ()):
            _replica(work, replica)


def _replica(work: Convergence, replica: Replica) -> None:
    match replica.action:
        case Action.KEEP:
            _keep(work, replica)
        case Action.CREATE:
            _create(work, replica, replica.name, _needs(work, replica), ("Creating", "Created"))
        case Action.REPLACE:
            _replace(work, replica)
        case Action.REMOVE:
            return


def _keep(work: Convergence, replica: Replica) -> None:
    """A container that stays; one that still has a temporary name gets its own, once nobody has it."""
    if replica.current is not None and replica.current.spec.name != replica.name:
        operation = RenameContainer(container=replica.id, name=replica.name)
        work.draft.add(f"{replica.key}.rename", operation, after=_name_freed(work, replica.name), cause="half replaced before")


def _name_freed(work: Convergence, name: str) -> list[str]:
    """The steps that remove whoever has a name that somebody else is to get."""
    holders = [c for c in work.snapshot.containers if c.spec.name == name]
    if not holders:
        return []
    leaving = work.leaving()
    holders = [c for c in holders if c.spec.id in leaving]
    replaced = {r.current.spec.id for r in work.all_replicas() if r.current and r.action is Action.REPLACE}
    return [f"{work.key(c)}.old.remove" if c.spec.id in replaced else f"{work.key(c)}.remove" for c in holders]


def _create(work: Convergence, replica: Replica, name: str, after: Iterable[str], words: draft.Words) -> str:
    if replica.spec is None:
        raise AssertionError(f"{replica.key} has no spec")
    _warn_of_foreign(work, replica)
    step = work.draft.add(
        f"{replica.key}.create",
        CreateContainer(spec=replace(replica.spec, name=name) if name != replica.name else replica.spec),
        after=(*after, *_name_freed(work, name)),
        cause=replica.cause,
        resource=draft.resource(replica.name),
        words=words,
    )
    work.creates[replica.id] = step
    return step


def _warn_of_foreign(work: Convergence, replica: Replica) -> None:
    """In Docker's words: the image is another machine's, and nobody asked for one."""
    image, host = work.at.image(replica.service), work.snapshot.platform
    if image and host and not image.config.fits(host) and not names.platform(work.project, replica.service):
        work.draft.warn(
            f"{replica.service.name}: The requested image's platform ({image.config.platform}) does not match the detected host platform "
            f"({host}) and no specific platform was requested"
        )


def _replace(work: Convergence, replica: Replica) -> None:
    """New under another name, stop the old, remove it, rename the new; or stop (or remove) the old first where both cannot be at once."""
    current = replica.current
    if current is None:
        raise AssertionError(f"{replica.key} replaces nothing")
    temporary = names.temporary_name(current.spec.id, replica.name)
    if replica.remove_first:
        removed = _remove_old(work, replica, current, _stop(work, replica))
        _create(work, replica, replica.name, (*_needs(work, replica), removed), ("Recreate", "Recreated"))
        return
    if replica.stop_first:
        freed = _leave_networks(work, replica, current)
        created = _create(work, replica, temporary, (*_needs(work, replica), *freed), ("Recreate", ""))
        removed = _remove_old(work, replica, current, (created,))
    else:
        created = _create(work, replica, temporary, _needs(work, replica), ("Recreate", ""))
        removed = _remove_old(work, replica, current, _stop(work, replica, (created,)) or (created,))
    work.draft.add(
        f"{replica.key}.rename",
        RenameContainer(container=replica.id, name=replica.name),
        after=(removed, *_name_freed(work, replica.name)),
        cause=f"takes the place of {current.spec.id[:12]}",
        resource=draft.resource(replica.name),
        words=("", "Recreated"),
    )


def _stop(work: Convergence, replica: Replica, after: Iterable[str] = ()) -> tuple[str, ...]:
    """Stop what is there, after the dependents that have to stop before it."""
    if replica.current is None:
        return ()
    dependents = _stops_of_dependents(work, replica)
    return draft.stop(
        work.draft,
        replica.key,
        replica.current,
        service=replica.service,
        timeout=work.intent.timeout,
        after=(*after, *dependents),
        cause=replica.bounce or replica.cause,
        words=("Stopping", "Stopped") if replica.bounce else draft.SILENT,
    )


def _stops_of_dependents(work: Convergence, replica: Replica) -> list[str]:
    tied = (other for name in work.tied(replica.service.name) for other in work.replicas.get(name, ()))
    return [f"{other.key}.stop" for other in tied if other.running and (other.bounce or other.action is Action.REPLACE)]


def _remove_old(work: Convergence, replica: Replica, current: ContainerState, after: Iterable[str]) -> str:
    return draft.remove(work.draft, f"{replica.key}.old", current, after=after, cause="replaced", shown=False)


def _leave_networks(work: Convergence, replica: Replica, current: ContainerState) -> list[str]:
    stopped = _stop(work, replica)
    return [
        draft.disconnect(work.draft, replica.key, current, e.network, after=stopped, cause="gives its address up")
        for e in current.spec.endpoints
    ] or [*stopped]


def _needs(work: Convergence, replica: Replica) -> list[str]:
    """What must be there before a container can be made: networks, volumes, the containers whose namespaces it joins, freed addresses."""
    service = replica.service
    found = [f"net:{a.network}" for a in attachments(work.project, service) if work.networks[a.network] is not Change.NONE]
    found += [f"vol:{v.source}" for v in service.volumes if v.source and work.volumes.get(v.source, Change.NONE) is not Change.NONE]
    for name in graph.donors(service):
        found += [work.creates[r.id] for r in work.replicas.get(name, ())[:1] if r.id in work.creates]
    return [*dict.fromkeys(found), *(_address_freed(other, network) for other, network in replica.takes_over)]


def _address_freed(other: Replica, network: str) -> str:
    """The step after which nobody has the address that ``other`` had."""
    if other.action is Action.REMOVE:
        return f"{other.key}.remove"
    return f"{other.key}.old.remove" if other.remove_first else f"{other.key}.disconnect:{network}"


def _remove_surplus(work: Convergence) -> None:
    for replica in work.removed:
        if replica.current is not None:
            remove_container(work, replica.current, replica.cause)
    orphans = work.world.orphans(work.project)
    if work.intent.remove_orphans:
        for container in orphans:
            remove_container(work, container, "orphan")
    elif orphans and not work.intent.ignore_orphans:
        listed = " ".join(sorted(c.spec.name for c in orphans))
        work.draft.warn(
            f"Found orphan containers ([{listed}]) for this project. If you removed or renamed this service in your compose file, "
            "you can run this command with the --remove-orphans flag to clean it up."
        )


def remove_container(work: Convergence, container: ContainerState, cause: str) -> str:
    """Stop and remove, visibly."""
    key = work.key(container)
    service = work.project.services.get(service_of(container))
    words = ("Stopping", "Stopped")
    stopped = draft.stop(work.draft, key, container, service=service, timeout=work.intent.timeout, cause=cause, words=words)
    return draft.remove(work.draft, key, container, after=stopped, cause=cause)


def _networks(work: Convergence) -> None:
    for key, change in work.networks.items():
        if change is Change.CREATE:
            _create_network(work, key, (), "not there")
        elif change is Change.RENEW:
            _renew_network(work, key, work.at.networks[key])
    if not work.intent.services and not work.intent.scale:
        _remove_obsolete_networks(work)


def _create_network(work: Convergence, key: str, after: Iterable[str], cause: str) -> str:
    network = work.at.networks[key]
    words = ("Creating", "Created")
    operation = CreateNetwork(network=network)
    return work.draft.add(f"net:{key}", operation, after=after, cause=cause, resource=f"Network {network.name}", words=words)


def _renew_network(work: Convergence, key: str, network: NetworkSpec) -> None:
    """Everybody off, away with it, make it, kept containers on again (their ids do not change)."""
    cause = f"network {network.name} changed"
    gone = [step for container in _users(work, network.name) for step in _take_off(work, container, network.name, cause)]
    words = ("Removing", "Removed")
    removed = work.draft.add(
        f"net:{key}.remove",
        RemoveNetwork(name=network.name),
        after=gone,
        cause="config changed",
        resource=f"Network {network.name}",
        words=words,
    )
    created = _create_network(work, key, (removed,), "config changed")
    for container in _returning(work, key, network.name):
        _put_on(work, container, key, network, created, cause)


def _users(work: Convergence, network: str) -> list[ContainerState]:
    """The project's containers on a network, those nobody depends on first."""
    rank = {name: i for i, name in enumerate(work.order)}
    users = [c for c in work.snapshot.containers if any(e.network == network for e in c.spec.endpoints)]
    return sorted(users, key=lambda c: -rank.get(service_of(c), len(rank)))


def _returning(work: Convergence, key: str, network: str) -> list[ContainerState]:
    """Who gets an end of the new network: who had one and stays, and who lost it in an earlier try that was cut short."""
    leaving = work.leaving()
    users = [c for c in _users(work, network) if c.spec.id not in leaving]
    kept = [
        r for r in work.all_replicas() if r.action is Action.KEEP and any(a.network == key for a in attachments(work.project, r.service))
    ]
    return users + [r.current for r in kept if r.current is not None and r.current not in users]


def _take_off(work: Convergence, container: ContainerState, network: str, cause: str) -> Iterator[str]:
    removing = f"{work.key(container)}.remove"
    if removing in work.draft.steps:
        yield removing
        return
    replica = next((r for r in work.all_replicas() if r.current and r.current.spec.id == container.spec.id), None)
    if replica is not None and replica.action is Action.KEEP and replica.running:
        replica.bounce = replica.bounce or cause
    service = work.project.services.get(service_of(container))
    words = ("Stopping", "Stopped") if replica is None or replica.bounce else draft.SILENT
    stopped = draft.stop(work.draft, work.key(container), container, service=service, timeout=work.intent.timeout, cause=cause, words=words)
    yield draft.disconnect(work.draft, work.key(container), container, network, after=stopped, cause=cause)


def _put_on(work: Convergence, container: ContainerState, key: str, network: NetworkSpec, created: str, cause: str) -> None:
    endpoint = _new_endpoint(work, container, key, network)
    operation = ConnectContainer(container=container.spec.id, endpoint=endpoint)
    connected = work.draft.add(f"{work.key(container)}.connect:{network.name}", operation, after=(created,), cause=cause)
    if container.running and service_of(container) not in work.roles:
        service = work.project.services.get(service_of(container))
        draft.start(
            work.draft, work.key(container), container.spec.id, container.spec.name, service=service, after=(connected,), cause=cause
        )


def _new_endpoint(work: Convergence, container: ContainerState, key: str, network: NetworkSpec) -> EndpointSpec:
    """The end a kept container gets: what its service says, with its old names; an address of the new network."""
    service = work.project.services.get(service_of(container))
    attachment = next((a for a in attachments(work.project, service) if a.network == key), None) if service else None
    old = next((e for e in container.spec.endpoints if e.network == network.name), EndpointSpec(network=network.name))
    if service is not None and attachment is not None:
        endpoint = endpoint_spec(work.at, service, attachment, container.spec.id)
        return replace(endpoint, aliases=old.aliases or endpoint.aliases)
    ipv4 = work.at.addresses.choose(network, 4, container.spec.id)
    ipv6 = work.at.addresses.choose(network, 6, container.spec.id)
    return replace(old, ipv4=ipv4, ipv6=ipv6, mac=mac_for(ipv4 or ipv6 or container.spec.id))


def _remove_obsolete_networks(work: Convergence) -> None:
    """Networks of the project whose key was renamed or dropped, and that nobody who stays is on."""
    named = {n.name for n in work.project.networks.values()} | {s.name for s in work.at.networks.values()}
    leaving = work.leaving()
    for name, state in work.snapshot.networks.items():
        ours = state.spec.labels.get(names.PROJECT) == work.project.name and names.NETWORK in state.spec.labels
        users = [c for c in work.snapshot.containers if any(e.network == name for e in c.spec.endpoints)]
        if ours and name not in named and all(c.spec.id in leaving for c in users):
            _remove_network(work, name, users)


def _remove_network(work: Convergence, name: str, users: list[ContainerState]) -> None:
    old = {r.current.spec.id: f"{r.key}.old.remove" for r in work.all_replicas() if r.current and r.action is Action.REPLACE}
    after = [old.get(c.spec.id) or f"{work.key(c)}.remove" for c in users]
    words = ("Removing", "Removed")
    operation = RemoveNetwork(name=name)
    work.draft.add(f"net:{name}.remove", operation, after=after, cause="no service uses it", resource=f"Network {name}", words=words)


def _volumes(work: Convergence) -> None:
    for key, change in work.volumes.items():
        if change is Change.CREATE:
            _create_volume(work, key, (), "not there")
        elif change is Change.RENEW:
            _renew_volume(work, key)


def _create_volume(work: Convergence, key: str, after: Iterable[str], cause: str) -> None:
    volume = work.volume_specs[key]
    words = ("Creating", "Created")
    work.draft.add(f"vol:{key}", CreateVolume(volume=volume), after=after, cause=cause, resource=f"Volume {volume.name}", words=words)


def _renew_volume(work: Convergence, key: str) -> None:
    """Its users go first: what the scope has is replaced, anything else of the project is removed."""
    name = work.volume_specs[key].name
    replaced = {r.current.spec.id: r for r in work.all_replicas() if r.current and r.remove_first}
    gone = []
    for container in work.snapshot.containers:
        if any(isinstance(m, VolumeMount) and m.volume == name for m in container.spec.mounts):
            replica = replaced.get(container.spec.id)
            if replica is not None:
                gone.append(_remove_old(work, replica, container, _stop(work, replica)))
            else:
                gone.append(remove_container(work, container, f"volume {name} is made anew"))
    words = ("Removing", "Removed")
    removed = work.draft.add(
        f"vol:{key}.remove", RemoveVolume(name=name), after=gone, cause="config changed", resource=f"Volume {name}", words=words
    )
    _create_volume(work, key, (removed,), "config changed; data is lost")
