"""What is handed out while a plan is made: addresses on networks, ports on the host. Pure: books live as long as one planning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from ipaddress import ip_address, ip_network
from itertools import chain

from compose.errors import PlanError
from runtime.network.ipam import choose_address
from runtime.spec import ContainerSpec, NetworkSpec, PortSpec, SubnetSpec
from runtime.state import Snapshot

_ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class AddressBook:
    """Addresses of each network: leased ones from the snapshot, static ones reserved first, dynamic ones the lowest free."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._leased = {name: dict(state.leases) for name, state in snapshot.networks.items()}
        self._free: dict[str, Iterator[str]] = {}

    def forget(self, network: str) -> None:
        """The network is made anew: nothing is leased on it."""
        self._leased[network] = {}

    def holder(self, network: str, address: str) -> str:
        """The id of the container that has the address, or ""."""
        return self._leased.get(network, {}).get(address, "")

    def reserve(self, network: str, address: str, container: str = "reserved") -> None:
        """Keep a static address from being chosen."""
        self._leased.setdefault(network, {}).setdefault(address, container)

    def hold(self, network: str, address: str, container: str) -> None:
        """Give an address to a container, whoever had it."""
        self._leased.setdefault(network, {})[address] = container

    def choose(self, network: NetworkSpec, version: int, container: str) -> str | None:
        """The next free address of IP ``version``, now the container's; None when the network has no such subnet."""
        subnet = next((s for s in network.subnets if (":" in s.subnet) == (version == 6)), None)
        if subnet is None:
            return None
        leased = self._leased.setdefault(network.name, {})
        key = f"{network.name} {subnet.subnet}"
        if key not in self._free:
            self._free[key] = _addresses(subnet)
        address = next((a for a in self._free[key] if a not in leased), None) or choose_address(subnet, leased)
        leased[address] = container
        return address


def _addresses(subnet: SubnetSpec) -> Iterator[str]:
    """What ``choose_address`` would choose, one after the other, without beginning at the first address each time."""
    network, pool = ip_network(subnet.subnet), ip_network(subnet.ip_range or subnet.subnet)
    barred = {int(ip_address(a)) for a in (*subnet.reserved, *filter(None, [subnet.gateway]))}
    if network.num_addresses > 2:
        barred |= {int(network.network_address), *([int(network.broadcast_address)] if network.version == 4 else ())}
    kind = type(network.network_address)
    numbers = range(int(pool.network_address), int(pool.broadcast_address) + 1)
    return (str(kind(n)) for n in numbers if n not in barred)


def canonical_address(text: str, where: str) -> str:
    """The address in its one spelling, as leases spell it. Raises PlanError naming the attribute."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise PlanError(f"{where}: {text!r} is not an IP address") from None


class PortBook:
    """Host ports: what the snapshot saw in use, what containers that stay have, what this plan hands out."""

    def __init__(self, snapshot: Snapshot, leaving: Iterable[str]) -> None:
        gone = frozenset(leaving)
        self._nonce = snapshot.nonce
        self._ephemeral = snapshot.ephemeral_ports
        self._used: dict[tuple[str, int], set[str]] = {}
        freed = {(p.protocol, p.host_port) for c in snapshot.containers if c.spec.id in gone for p in c.spec.ports}
        for protocol, address, port in snapshot.ports_in_use:
            if (protocol, port) not in freed:
                self._use(protocol, port, address)
        for container in snapshot.containers:
            if container.spec.id not in gone:
                self.keep(container.spec)

    def keep(self, spec: ContainerSpec) -> None:
        """The ports of a container that stays."""
        for port in spec.ports:
            self._use(port.protocol, port.host_port, port.host_ip)

    def claim(self, protocol: str, port: int, address: str) -> None:
        """A fixed port; whether somebody outside has it is the engine's to say when the container starts."""
        self._use(protocol, port, address)

    def free(self, protocol: str, port: int, address: str) -> bool:
        """Whether nobody has the port on that address (or on all)."""
        used = self._used.get((protocol, port))
        return not used or ("" not in used and address not in _ANY_ADDRESS and address not in used)

    def first_of(self, ports: range, protocol: str, address: str, origin: str) -> int:
        """The first free port of a published range. Raises PlanError when all are taken."""
        for port in ports:
            if self.free(protocol, port, address):
                self._use(protocol, port, address)
                return port
        raise PlanError(
            f"{origin}: all ports of {ports.start}-{ports.stop - 1}/{protocol} are already allocated",
            hint="publish a longer range, or run fewer replicas",
        )

    def random(self, protocol: str, address: str, origin: str, seed: str, before: PortSpec | None) -> int:
        """A free ephemeral port; the one the replaced container had, when it is still free."""
        candidates = self._candidates(f"{self._nonce}{seed}{origin}")
        for port in chain((before.host_port,), candidates) if before else candidates:
            if self.free(protocol, port, address):
                self._use(protocol, port, address)
                return port
        raise PlanError(f"{origin}: no free port is left in {self._ephemeral[0]}-{self._ephemeral[1]}")

    def _candidates(self, seed: str) -> Iterator[int]:
        low, high = self._ephemeral
        start = int.from_bytes(sha256(seed.encode()).digest()[:4], "big")
        size = high - low + 1
        return (low + (start + i) % size for i in range(size))

    def _use(self, protocol: str, port: int, address: str) -> None:
        self._used.setdefault((protocol, port), set()).add("" if address in _ANY_ADDRESS else address)
