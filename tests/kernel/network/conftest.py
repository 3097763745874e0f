"""A host of its own in a network namespace, a second host on its uplink, and sockets that are opened wherever a test wants them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import anyio
import pytest

from runtime.native import syscalls
from runtime.network import ipam, pins
from runtime.network.client import Networker, Target
from runtime.spec import EndpointSpec, NetworkSpec, PortSpec, SubnetSpec
from runtime.store import Paths

HOST_V4, OUTSIDE_V4 = "198.51.100.1", "198.51.100.2"
HOST_V6, OUTSIDE_V6 = "2001:db8:1::1", "2001:db8:1::2"
UPLINK_MTU = 1400


@dataclass
class Box:
    """A container as far as the network goes: an id, its endpoints, a pinned namespace; no process."""

    id: str
    path: str
    wired: list[tuple[EndpointSpec, NetworkSpec]]
    names: dict[str, str] = field(default_factory=dict)

    @property
    def ipv4(self) -> str:
        return next(e.ipv4 for e, _ in self.wired if e.ipv4)

    @property
    def ipv6(self) -> str:
        return next(e.ipv6 for e, _ in self.wired if e.ipv6)

    @property
    def target(self) -> Target:
        v4, v6 = (ipam.gateway_endpoint(self.wired, version) for version in (4, 6))
        return Target(v4 and v4[0].ipv4, v6 and v6[0].ipv6, (v4 or v6 or self.wired[0])[1].bridge)


class Lab:
    """Everything a test does; place "" is the host, "outside" the other machine, a Box is a container."""

    def __init__(self, directory: str) -> None:
        self.paths = Paths(f"{directory}/root", f"{directory}/run")
        os.makedirs(self.paths.run)
        self.outside = f"{directory}/outside"
        self.boxes: list[Box] = []
        self.open = ExitStack()
        self._count = 0
        self.leases: dict[str, set[str]] = {}

    def network(self, name: str, subnet: str = "172.28.0.0/16", *more: str, **options: object) -> NetworkSpec:
        identity = f"{abs(hash((name, self.paths.run))):016x}" * 4
        subnets = tuple(ipam.complete_subnet(SubnetSpec(subnet=s)) for s in (subnet, *more) if s)
        defaults = {"bridge": ipam.bridge_name(identity), "enable_ipv6": any(":" in s.subnet for s in subnets)}
        return NetworkSpec(id=identity, name=name, subnets=subnets, **(defaults | options))  # type: ignore[arg-type]

    def endpoint(self, network: NetworkSpec, **options: object) -> tuple[EndpointSpec, NetworkSpec]:
        leased = self.leases.setdefault(network.name, set())
        chosen = {}
        for subnet in network.subnets:
            address = ipam.choose_address(subnet, leased)
            leased.add(address)
            chosen["ipv6" if ":" in address else "ipv4"] = address
        return EndpointSpec(network=network.name, **(chosen | options)), network  # type: ignore[arg-type]

    def box(self, *wired: NetworkSpec | tuple[EndpointSpec, NetworkSpec]) -> Box:
        self._count += 1
        identity = f"{self._count:064x}"
        ends = [w if isinstance(w, tuple) else self.endpoint(w) for w in wired]
        self.boxes.append(Box(identity, self.paths.netns(identity), ends))
        return self.boxes[-1]

    async def attach(self, networker: Networker, *boxes: Box, **sysctls: str) -> None:
        async def one(box: Box) -> None:
            box.names = dict(await networker.attach(box.id, box.path, box.wired, sysctls))

        async with anyio.create_task_group() as group:
            for box in boxes:
                group.start_soon(one, box)

    def at(self, place: Box | str):
        if isinstance(place, Box):
            return pins.inside(place.path)
        return pins.inside(self.outside) if place == "outside" else nullcontext()

    def run(self, place: Box | str, *argv: str, check: bool = True) -> str:
        with self.at(place):
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def ip(self, place: Box | str, *arguments: str) -> list[dict]:
        return json.loads(self.run(place, "ip", "-j", *arguments) or "[]")

    def listen(self, place: Box | str, port: int, *, udp: bool = False, address: str = "") -> socket.socket:
        with self.at(place):
            made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            made.bind((address or "::", port))
        made.settimeout(2)
        if not udp:
            made.listen(64)
        return self.open.enter_context(made)

    def reaches(self, place: Box | str, address: str, port: int, server: socket.socket, *, wait: float = 2.0) -> str | None:
        """The client's address as the server sees it when bytes go there and back; None when they do not."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        udp = server.type == socket.SOCK_DGRAM
        with self.at(place):
            client = socket.socket(family, server.type)
        with client:
            client.settimeout(wait)
            server.settimeout(wait)
            try:
                client.connect((address, port))
                client.send(b"ping")
                seen = _echo_udp(server) if udp else _echo_tcp(server)
                return seen.removeprefix("::ffff:") if client.recv(16) == b"ping" else None
            except (TimeoutError, ConnectionRefusedError, OSError):
                return None

    def close(self) -> None:
        self.open.close()
        for box in self.boxes:
            pins.unpin(box.path)


def _echo_tcp(server: socket.socket) -> str:
    while True:  # connections of attempts that timed out may still be queued
        connection, peer = server.accept()
        with connection:
            connection.settimeout(0.5)
            if data := connection.recv(16):
                connection.send(data)
                return str(peer[0])


def _echo_udp(server: socket.socket) -> str:
    data, peer = server.recvfrom(16)
    server.sendto(data, peer)
    return str(peer[0])


@contextmanager
def own_network_namespace() -> Iterator[None]:
    """The test process itself moves to a namespace of its own, so nothing it does touches the real host."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        yield
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)


def pin_empty(path: str) -> None:
    """Pin a namespace that has nothing in it yet."""
    namespace = pins.new()
    pins.pin(namespace, path)
    os.close(namespace)


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = str(tmp_path_factory.mktemp("net"))
    with own_network_namespace():
        made = Lab(directory)
        pin_empty(made.outside)
        _wire(made)
        try:
            yield made
        finally:
            made.close()
            pins.unpin(made.outside)
    shutil.rmtree(directory)


def _wire(lab: Lab) -> None:
    """lo, an uplink with a default route on both sides, IPv6 too."""
    ip = partial(lab.run, "", "ip")
    ip("link", "set", "lo", "up")
    with pins.inside(lab.outside):
        namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    ip("link", "add", "uplink", "mtu", str(UPLINK_MTU), "type", "veth", "peer", "name", "wire", "mtu", str(UPLINK_MTU))
    subprocess.run(["ip", "link", "set", "wire", "netns", f"/proc/{os.getpid()}/fd/{namespace}"], check=True)
    os.close(namespace)
    for where, link, v4, v6 in (("", "uplink", HOST_V4, HOST_V6), ("outside", "wire", OUTSIDE_V4, OUTSIDE_V6)):
        with lab.at(where):
            pins.write_sysctls({f"net/ipv6/conf/{link}/accept_dad": "0", f"net/ipv6/conf/{link}/disable_ipv6": "0"})
        lab.run(where, "ip", "link", "set", "lo", "up")
        lab.run(where, "ip", "address", "add", f"{v4}/24", "dev", link)
        lab.run(where, "ip", "address", "add", f"{v6}/64", "dev", link, "nodad")
        lab.run(where, "ip", "link", "set", link, "up")
    ip("route", "add", "default", "via", OUTSIDE_V4)
    ip("-6", "route", "add", "default", "via", OUTSIDE_V6)


@pytest.fixture
def ports():
    """``ports((80, 8080), …)`` → published ports."""

    def make(*pairs: tuple[int, int], host_ip: str = "", protocol: str = "tcp") -> list[PortSpec]:
        return [PortSpec(container_port=c, host_port=h, host_ip=host_ip, protocol=protocol) for c, h in pairs]  # type: ignore[arg-type]

    return make
