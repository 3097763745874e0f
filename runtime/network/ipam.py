"""Which subnets, addresses, MAC addresses and link names are taken next. Pure; in the command line (planner) and the worker.

Everything is decided by arithmetic on what is given, so the same snapshot gives the same plan.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from runtime.errors import Conflict, Unsupported
from runtime.spec import EndpointSpec, NetworkSpec, SubnetSpec

AnyNetwork = IPv4Network | IPv6Network

INTERFACE_NAME_LIMIT = 15  # IFNAMSIZ - 1, net_device(7)
_ULA_ATTEMPTS = 256
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def choose_subnets(taken: Iterable[str], want_v4: bool, want_v6: bool, seed: str) -> tuple[SubnetSpec, ...]:
    """Free subnets, gateway included, that overlap nothing in ``taken`` (CIDR or addresses).

    IPv4 comes from Docker's pools (172.17.0.0/16 … 172.31.0.0/16, then 192.168.0.0/20 …), IPv6 is a unique local /64 (RFC 4193)
    made of ``seed``. Default routes in ``taken`` are ignored. Raises Conflict when every pool is used up.
    """
    used = [n for n in map(_network, taken) if n.prefixlen]
    chosen: list[SubnetSpec] = []
    if want_v4:
        chosen.append(_first_free(_pools_v4(), used))
    if want_v6:
        chosen.append(_first_free(_pools_v6(seed), used))
    return tuple(chosen)


def complete_subnet(subnet: SubnetSpec) -> SubnetSpec:
    """The subnet in canonical form with its gateway: the first address of the subnet that is not reserved, unless one was given.

    Raises Unsupported for text that is no subnet, or a gateway, range or reserved address that lies outside it.
    """
    network = _parsed(subnet.subnet)
    for text in filter(None, (subnet.gateway, *subnet.reserved)):
        if ip_address(text) not in network:
            raise Unsupported(f"address {text} is not in subnet {network}", hint="give an address inside the subnet, or leave it out")
    if subnet.ip_range and not _within(_parsed(subnet.ip_range), network):
        raise Unsupported(f"ip_range {subnet.ip_range} is not in subnet {network}")
    gateway = subnet.gateway or next(_candidates(network, network, subnet.reserved), None)
    if gateway is None:
        raise Unsupported(f"subnet {network} has no room for a gateway", hint="use a larger subnet")
    return SubnetSpec(subnet=str(network), gateway=str(ip_address(gateway)), ip_range=subnet.ip_range, reserved=subnet.reserved)


def choose_address(subnet: SubnetSpec, leased: Container[str]) -> str:
    """The lowest free address of the subnet (of its ip_range when it has one). Raises Conflict when none is left."""
    network = _parsed(subnet.subnet)
    pool = _parsed(subnet.ip_range) if subnet.ip_range else network
    barred = {str(ip_address(a)) for a in (*subnet.reserved, *filter(None, [subnet.gateway]))}
    for address in _candidates(network, pool, barred):
        if address not in leased:
            return address
    raise Conflict(f"no address is left in {pool}", hint="remove unused containers, or give the network a larger subnet")


def mac_for(seed: str) -> str:
    """A locally administered unicast MAC address made of an address or any other text; stable, so that ARP caches stay right."""
    digest = sha256(seed.encode()).digest()
    return ":".join(f"{octet:02x}" for octet in (0x02, *digest[:5]))


def bridge_name(network_id: str) -> str:
    """The bridge's link name: ``br-`` and twelve digits of the network's id, as Docker names its own."""
    return f"br-{network_id[:12]}"


def veth_name(container_id: str, network: str) -> str:
    """The host's end of an endpoint: the same for the same container and network, so that "is it there?" needs no memory."""
    return veth_prefix(container_id) + _short(network, 4)


def veth_prefix(container_id: str) -> str:
    """How the names of all of a container's host ends begin, and nobody else's (41 bits of a hash)."""
    return "veth" + _short(container_id, 7)


def ordered(endpoints: Iterable[EndpointSpec]) -> tuple[EndpointSpec, ...]:
    """Endpoints in the order of their interfaces: highest ``priority`` first, then by network name."""
    return tuple(sorted(endpoints, key=lambda e: (-e.priority, e.network)))


def interface_names(endpoints: Iterable[EndpointSpec], used: Iterable[str] = ()) -> dict[str, str]:
    """Network name → name inside the container: the endpoint's own wish, else the first free of eth0, eth1 …, in ``ordered`` order."""
    wanted = ordered(endpoints)
    taken = {*used, *filter(None, map(interface_of, wanted))}
    names: dict[str, str] = {}
    for endpoint in wanted:
        name = interface_of(endpoint) or next(n for n in (f"eth{i}" for i in range(len(taken) + 1)) if n not in taken)
        taken.add(name)
        names[endpoint.network] = name
    return names


def interface_of(endpoint: EndpointSpec) -> str | None:
    """The name that was asked for, as ``interface_name`` or as Docker's endpoint option."""
    return endpoint.interface or endpoint.driver_opts.get("com.docker.network.endpoint.ifname")


def gateway_endpoint(endpoints: Iterable[tuple[EndpointSpec, NetworkSpec]], version: int) -> tuple[EndpointSpec, NetworkSpec] | None:
    """The endpoint whose network is the default route of IP ``version`` (4 or 6) and through which ports are published.

    Highest ``gw_priority`` wins, then network name. Internal networks and networks without that version give none.
    """
    able = [(e, n) for e, n in endpoints if not n.internal and address_of(e, version) and gateway_of(n, version)]
    return min(able, key=lambda pair: (-pair[0].gw_priority, pair[0].network), default=None)


def address_of(endpoint: EndpointSpec, version: int) -> str | None:
    """The endpoint's address of IP version 4 or 6."""
    return endpoint.ipv4 if version == 4 else endpoint.ipv6


def subnet_of(network: NetworkSpec, address: str) -> SubnetSpec | None:
    """The subnet of the network that holds the address."""
    wanted = ip_address(address)
    return next((s for s in network.subnets if wanted in _parsed(s.subnet)), None)


def gateway_of(network: NetworkSpec, version: int) -> str | None:
    """The gateway address of the network's first subnet of IP ``version``."""
    return next((s.gateway for s in network.subnets if s.gateway and ip_address(s.gateway).version == version), None)


def prefix_length(subnet: str) -> int:
    """The number after the slash."""
    return _parsed(subnet).prefixlen


def _short(text: str, length: int) -> str:
    number = int.from_bytes(sha256(text.encode()).digest()[:8], "big")
    return "".join(_ALPHABET[number // 62**i % 62] for i in range(length))


def _pools_v4() -> Iterator[AnyNetwork]:
    yield from (IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32))
    yield from IPv4Network("192.168.0.0/16").subnets(new_prefix=20)


def _pools_v6(seed: str) -> Iterator[AnyNetwork]:
    for attempt in range(_ULA_ATTEMPTS):
        digest = sha256(f"{seed}\0{attempt}".encode()).digest()
        yield IPv6Network((bytes([0xFD, *digest[:7]]) + bytes(8), 64))


def _first_free(pool: Iterator[AnyNetwork], used: list[AnyNetwork]) -> SubnetSpec:
    for candidate in pool:
        if not any(_overlap(candidate, other) for other in used):
            return complete_subnet(SubnetSpec(subnet=str(candidate)))
    raise Conflict("every default subnet overlaps a network or route in use", hint="remove unused networks, or set ipam.config.subnet")


def _candidates(network: AnyNetwork, pool: AnyNetwork, barred: Container[str]) -> Iterator[str]:
    """Addresses of ``pool``, lowest first, without the network's own, its broadcast address, and the barred ones."""
    first, last = int(pool.network_address), int(pool.broadcast_address)
    small = network.prefixlen >= network.max_prefixlen - 1  # RFC 3021: a /31 has neither
    kind = type(network.network_address)
    for number in range(first, last + 1):
        if not small and (number == int(network.network_address) or (network.version == 4 and number == int(network.broadcast_address))):
            continue
        address = str(kind(number))
        if address not in barred:
            yield address


def _network(text: str) -> AnyNetwork:
    return ip_network(text, strict=False)


def _parsed(text: str) -> AnyNetwork:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise Unsupported(f"{text!r} is not a subnet", hint="write it as address/prefix, such as 172.28.0.0/16") from error


def _overlap(one: AnyNetwork, other: AnyNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _within(inner: AnyNetwork, outer: AnyNetwork) -> bool:
    first, last = inner.network_address, inner.broadcast_address
    return first in outer and last in outer


def is_v6(address: str) -> bool:
    """Whether the address is of IP version 6."""
    return isinstance(ip_address(address), IPv6Address)
