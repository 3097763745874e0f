"""The specs of the containers that are made: static addresses settled first, then one by one, dependencies first. Pure."""

from __future__ import annotations

from dataclasses import replace

from compose import graph
from compose.convert.books import PortBook
from compose.convert.container import Request, container_spec
from compose.convert.endpoints import attachments, static_addresses
from compose.convert.labels import replica_labels
from compose.convert.links import linked_services
from compose.convert.names import network_name
from compose.errors import PlanError
from compose.model import ServiceNetwork
from compose.planner.convergence import Action, Change, Convergence, Replica
from compose.planner.divergence import changed_attributes, digest


def make_specs(work: Convergence) -> None:
    """Give every replica that is made its spec. Raises PlanError when an address is somebody else's or a donor is missing."""
    work.at.ports = PortBook(work.snapshot, work.leaving())
    _stand_by(work)
    _reserve(work)
    _settle(work)
    linked = {n for s in work.project.services.values() for n in linked_services(s)}
    for service in work.scope:
        for replica in work.replicas.get(service.name, ()):
            _make(work, replica, keep_addresses=service.name in linked and replica.action is Action.REPLACE)
        work.at.standing[service.name] = [r.spec for r in work.replicas.get(service.name, ()) if r.spec is not None]
    _spread_stop_first(work)


def replaced_name(replica: Replica) -> str:
    """What the ``replace`` label says: ``container_name``, or "db-1"."""
    return replica.service.container_name or f"{replica.service.name}-{replica.number}"


def _stand_by(work: Convergence) -> None:
    """Containers outside the scope can be donors and link targets too."""
    for name, containers in work.world.replicas.items():
        if name not in work.roles:
            work.at.standing[name] = [c.spec for c in containers]


def _make(work: Convergence, replica: Replica, *, keep_addresses: bool) -> None:
    if replica.action is Action.KEEP and replica.current is not None:
        replica.spec = (
            replica.current.spec if replica.current.spec.name == replica.name else replace(replica.current.spec, name=replica.name)
        )
        return
    renewed = {s.name for _, s in work.renewed_networks()}
    endpoints = replica.current.spec.endpoints if replica.current else ()
    on_renewed = bool(renewed.intersection(e.network for e in endpoints))
    keep = keep_addresses and bool(endpoints) and not on_renewed
    request = Request(
        id=replica.id,
        name=replica.name,
        labels=replica_labels({}, replica.number, replaced_name(replica) if replica.action is Action.REPLACE else ""),
        before=replica.current,
        keep_addresses=keep,
        config_hash=digest(work, replica.service),
    )
    replica.spec = container_spec(work.at, replica.service, request)
    replica.stop_first = replica.stop_first or keep or on_renewed or (replica.action is Action.REPLACE and _uses_renewed(work, replica))
    if replica.cause == "config changed" and replica.current is not None:
        what = changed_attributes(replica.current.spec, replica.spec)
        replica.cause = f"config changed: {what}" if what else replica.cause


def _uses_renewed(work: Convergence, replica: Replica) -> bool:
    """Whether the new container waits for a network or volume that is made anew, and so for the end of those who are on it."""
    networks = (work.networks[a.network] for a in attachments(work.project, replica.service))
    volumes = (work.volumes.get(v.source) for v in replica.service.volumes)
    return Change.RENEW in (*networks, *volumes)


def _spread_stop_first(work: Convergence) -> None:
    """Whoever joins a container that can only be made after something stopped must have stopped before, too."""
    first: set[str] = set()
    for service in work.scope:
        replicas = work.replicas.get(service.name, ())
        if first.intersection(graph.donors(service)):
            first.add(service.name)
            for replica in replicas:
                replica.stop_first = replica.stop_first or replica.action is Action.REPLACE
        made = [r for r in replicas if r.action is not Action.KEEP]
        if any(r.stop_first or r.remove_first or r.takes_over or _uses_renewed(work, r) for r in made):
            first.add(service.name)


def _reserve(work: Convergence) -> None:
    """Static addresses of every service, enabled or not in the scope, before any dynamic one is chosen."""
    for service in work.project.services.values():
        for attachment in service.networks:
            for address in static_addresses(service, attachment):
                work.at.addresses.reserve(network_name(work.project, attachment.network), address)


def _settle(work: Convergence) -> None:
    """Whoever holds an address that a new container is to have gives it up first, or the plan is refused."""
    for replica in work.all_replicas():
        if replica.action in (Action.CREATE, Action.REPLACE):
            for attachment in attachments(work.project, replica.service):
                for address in static_addresses(replica.service, attachment):
                    _take_over(work, replica, attachment, address)


def _take_over(work: Convergence, replica: Replica, attachment: ServiceNetwork, address: str) -> None:
    network = work.at.networks[attachment.network].name
    holder = work.at.addresses.holder(network, address)
    if holder in ("", "reserved"):
        work.at.addresses.hold(network, address, replica.id)
        return
    if replica.current is not None and holder == replica.current.spec.id:
        replica.stop_first = True
    elif (other := _leaving(work, holder)) is not None:
        other.stop_first = True
        replica.stop_first = replica.action is Action.REPLACE
        replica.takes_over.append((other, network))
    else:
        raise PlanError(
            f"services.{replica.service.name}.networks.{attachment.network}: Address already in use: {address} belongs to {_name(work, holder)}",
            hint="each replica and service needs an address of its own; static addresses go with one replica",
        )
    work.at.addresses.hold(network, address, replica.id)


def _leaving(work: Convergence, container: str) -> Replica | None:
    candidates = (*work.all_replicas(), *work.removed)
    return next((r for r in candidates if r.current and r.current.spec.id == container and r.action is not Action.KEEP), None)


def _name(work: Convergence, container: str) -> str:
    known = {c.spec.id: c.spec.name for c in work.snapshot.containers} | {r.id: r.name for r in work.all_replicas()}
    return f"container {known.get(container, container[:12])}"
