"""Elements of our nftables sets and maps, as data: what a network, a published port or a link puts there. Pure; stdlib only.

A ``Change`` edits a dictionary of elements; ``difference`` of before and after is the transaction. Every element carries its owner (a network's or
container's id) as its comment, so what is to be removed is found in the kernel itself and never has to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from runtime.errors import Conflict, Unsupported
from runtime.network.host import ANY_V4, ANY_V6, shown
from runtime.record import dataclass
from runtime.spec import NetworkSpec, PortSpec


class Place(NamedTuple):
    """Where an element is: the table's family, the set or map, the key's parts."""

    family: str
    name: str
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """What is there: the owner's id, and for maps the value's parts."""

    owner: str
    value: tuple[str, ...] = ()


Elements = dict[Place, Element]
Change = Callable[[Elements], None]


class Target(NamedTuple):
    """Where published ports lead: the container's addresses on the network of its default route, that network's bridge, its host_binding_ipv4."""

    ipv4: str | None = None
    ipv6: str | None = None
    bridge: str = ""
    host_binding_ipv4: str = ""


class Link(NamedTuple):
    """What ``enable_icc=false`` lets through all the same: from one container's address to a port of another's."""

    source: str
    target: str
    protocol: str
    port: int


def add_network(network: NetworkSpec) -> Change:
    """A bridge, its subnets, and what they may do."""

    def change(elements: Elements) -> None:
        _disown(elements, network.id, ("bridges", "same", "internal", "no_icc", "subnets4", "subnets6", "masquerade4", "masquerade6"))
        for name, *key in _network_keys(network):
            elements[Place("inet", name, tuple(key))] = Element(network.id)

    return change


def move_nameserver(network_id: str, gateway: str) -> Change:
    """Questions to port 53 of this gateway go to our second port, because the first is somebody else's."""

    def change(elements: Elements) -> None:
        elements[Place("inet", "moved6" if ":" in gateway else "moved4", (gateway,))] = Element(network_id)

    return change


def remove_owner(owner: str) -> Change:
    """Everything of a network or container."""
    return lambda elements: _disown(elements, owner)


def unpublish(container_id: str) -> Change:
    """The container's published ports; its links stay."""
    return lambda elements: _disown(elements, container_id, ("ports4", "ports6", "ports_at4", "ports_at6"))


def publish(container_id: str, ports: Sequence[PortSpec], target: Target) -> Change:
    """The container's published ports, in place of those it had. Raises Conflict when another container has one.

    Processes of the host that listen on a port are the supervisor's to notice: it holds a socket for every published port.
    """

    def change(elements: Elements) -> None:
        wanted = [(port, place, value) for port in ports for place, value in _port_places(port, target)]
        _disown(elements, container_id, ("ports4", "ports6", "ports_at4", "ports_at6"))
        for port, place, value in wanted:
            _refuse_taken(elements, port, place, container_id)
            elements[place] = Element(container_id, value)

    return change


def isolate(container_id: str, links: Sequence[str]) -> Change:
    """Host ends of endpoints on networks with ``enable_icc=false``."""

    def change(elements: Elements) -> None:
        for link in links:
            elements[Place("bridge", "isolated", (link,))] = Element(container_id)

    return change


def release(link: str) -> Change:
    """Undo ``isolate`` for one host end."""

    def change(elements: Elements) -> None:
        elements.pop(Place("bridge", "isolated", (link,)), None)

    return change


def allow(container_id: str, links: Iterable[Link]) -> Change:
    """The container's ways to others on networks with ``enable_icc=false``, in place of those it had."""
    wanted = tuple(links)

    def change(elements: Elements) -> None:
        _disown(elements, container_id, ("links4", "links6"))
        for link in wanted:
            name = f"links{ip_address(link.source).version}"
            key = (str(ip_address(link.source)), str(ip_address(link.target)), link.protocol, str(link.port))
            for family in ("inet", "bridge"):
                elements[Place(family, name, key)] = Element(container_id)

    return change


def difference(before: Elements, after: Elements) -> tuple[list[tuple[Place, Element]], list[tuple[Place, Element]]]:
    """(to delete, to add); a changed element is both."""
    gone = [(p, e) for p, e in before.items() if after.get(p) != e]
    new = [(p, e) for p, e in after.items() if before.get(p) != e]
    return gone, new


def bridges(elements: Elements) -> set[str]:
    """The names of our bridges."""
    return {place.key[0] for place in elements if place.name == "bridges"}


def _network_keys(network: NetworkSpec) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = [("bridges", network.bridge), ("same", network.bridge, network.bridge)]
    keys += [("internal", network.bridge)] if network.internal else []
    keys += [] if network.icc else [("no_icc", network.bridge)]
    for subnet in network.subnets:
        parsed = ip_network(subnet.subnet, strict=False)
        keys.append((f"subnets{parsed.version}", str(parsed)))
        if network.masquerade and not network.internal:
            keys.append((f"masquerade{parsed.version}", str(parsed)))
    return keys


def _port_places(port: PortSpec, target: Target) -> list[tuple[Place, tuple[str, ...]]]:
    host_ip = port.host_ip or target.host_binding_ipv4
    versions = [ip_address(host_ip).version] if host_ip else [4, 6]
    places: list[tuple[Place, tuple[str, ...]]] = []
    for version in versions:
        address = target.ipv4 if version == 4 else target.ipv6
        if address:
            key: tuple[str, ...] = (port.protocol, str(port.host_port))
            wildcard = host_ip in ("", ANY_V4, ANY_V6)
            name = f"ports{version}" if wildcard else f"ports_at{version}"
            key = key if wildcard else (str(ip_address(host_ip)), *key)
            places.append((Place("inet", name, key), (str(ip_address(address)), str(port.container_port))))
    if not places and not (target.ipv4 or target.ipv6):
        raise Unsupported(
            f"cannot publish {shown(port)}: the container has no network that leads outside", hint="add a network that is not internal"
        )
    return places


def _refuse_taken(elements: Elements, port: PortSpec, place: Place, container_id: str) -> None:
    """The same port on the same address, or on every address, is somebody else's."""
    version = place.name[-1]
    for other, element in elements.items():
        if other.name in (f"ports{version}", f"ports_at{version}") and other.key[-2:] == place.key[-2:] and element.owner != container_id:
            if other.name == place.name and other.key != place.key:
                continue  # two different addresses
            raise Conflict(
                f"{port.origin}{': ' if port.origin else ''}Bind for {shown(port)} failed: port is already allocated",
                hint=f"container {element.owner[:12]} has it; stop it, or choose another host port",
            )


def _disown(elements: Elements, owner: str, names: Sequence[str] = ()) -> None:
    for place in [p for p, e in elements.items() if e.owner == owner and (not names or p.name in names)]:
        del elements[place]
