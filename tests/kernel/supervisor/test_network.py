"""Names and published ports, in a network namespace of the test's own."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import dnslib
import pytest

from runtime import codec
from runtime.errors import Conflict, RuntimeFailure
from runtime.native import syscalls
from runtime.network import ipam, pins
from runtime.network.client import Networker
from runtime.spec import EndpointSpec, HealthcheckSpec, LinkSpec, NetworkSpec, PortSpec, RestartPolicy, SubnetSpec

pytestmark = pytest.mark.root


class Net:
    """Bridges, and containers on them, beside a lab."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self.networks: list[NetworkSpec] = []
        self.containers: list[str] = []
        self._hosts = 1

    def network(self, name: str, subnet: str, **options: Any) -> NetworkSpec:
        subnets = (ipam.complete_subnet(SubnetSpec(subnet=subnet)),)
        identity = os.urandom(32).hex()
        made = NetworkSpec(id=identity, name=name, subnets=subnets, bridge=ipam.bridge_name(identity), **options)
        os.makedirs(f"{self.lab.paths.networks}/{name}/leases")
        with open(f"{self.lab.paths.networks}/{name}/network.json", "w") as file:
            file.write(codec.dumps(made))
        self.networks.append(made)
        return made

    def container(self, *networks: NetworkSpec, script: str = "sleep 60", aliases: tuple[str, ...] = (), **values: Any) -> str:
        self._hosts += 1
        wired = [
            (EndpointSpec(network=n.name, ipv4=f"{n.subnets[0].subnet.rsplit('.', 1)[0]}.{self._hosts}", aliases=aliases), n)
            for n in networks
        ]
        container: str = self.lab.create(script=script, endpoints=tuple(e for e, _ in wired), **values)
        self.containers.append(container)

        async def attach() -> None:
            async with Networker(self.lab.paths) as networker:
                for network in networks:
                    await networker.create_network(network)
                await networker.attach(container, self.lab.paths.netns(container), wired, {})

        anyio.run(attach)
        return container

    def ask(
        self, container: str, name: str, kind: str = "A", *, server: str = "", tcp: bool = False, timeout: float = 5
    ) -> dnslib.DNSRecord:
        query = dnslib.DNSRecord.question(name, kind)
        where = server or str(self.networks[0].subnets[0].gateway)
        with pins.inside(self.lab.paths.netns(container)):
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        with made:
            made.settimeout(timeout)
            made.connect((where, 53))
            if tcp:
                return _over_tcp(made, query)
            made.send(query.pack())
            return dnslib.DNSRecord.parse(made.recv(4096))

    def addresses(self, container: str, name: str, **how: Any) -> list[str]:
        return sorted(str(r.rdata) for r in self.ask(container, name, **how).rr)

    def close(self) -> None:
        async def remove() -> None:
            async with Networker(self.lab.paths) as networker:
                for container in self.containers:
                    await networker.remove_container(container)
                for network in self.networks:
                    await networker.remove_network(network)

        anyio.run(remove)


def _over_tcp(connection: socket.socket, query: dnslib.DNSRecord) -> dnslib.DNSRecord:
    packet = query.pack()
    connection.sendall(len(packet).to_bytes(2, "big") + packet)
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        received = connection.recv(4096)
        assert received
        data += received
    return dnslib.DNSRecord.parse(data[2:])


@pytest.fixture
def net(lab: Any) -> Iterator[Net]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    os.system("ip link set lo up")
    made = Net(lab)
    try:
        yield made
        for container in made.containers:
            if os.path.exists(lab.paths.container("supervised", container)):
                lab.call("stop", container, timeout=0)
                lab.call("remove", container)
        made.close()
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)
        for root, _, files in os.walk(lab.paths.run):
            for name in files:
                if name not in ("supervisor.lock", "supervisor.sock", "supervisor.log"):
                    os.unlink(f"{root}/{name}")


def test_names_of_running_containers_only(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    asker, web = net.container(network), net.container(network, aliases=("web", "www"))
    net.lab.start(asker)
    assert net.ask(asker, "web").header.rcode != 0
    net.lab.start(web)
    for name in ("web", "www", "supervised-c2-1", web[:12], "web.front"):
        assert net.addresses(asker, name) == ["10.91.0.3"], name
        assert net.addresses(asker, name, tcp=True) == ["10.91.0.3"], name
    assert net.addresses(asker, "3.0.91.10.in-addr.arpa", kind="PTR") == ["supervised-c2-1.front."]
    net.lab.call("stop", web, timeout=0)
    assert net.ask(asker, "web").header.rcode != 0
    net.lab.start(web)
    assert net.addresses(asker, "web") == ["10.91.0.3"]


def test_the_program_in_the_container_resolves(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    web = net.container(network, aliases=("web",))
    asker = net.container(network, script="nslookup web; ping -c 1 -W 3 web && echo reached")
    with open(f"{net.lab.paths.container('supervised', asker)}/files/resolv.conf", "w") as file:
        file.write("nameserver 10.91.0.1\n")
    net.lab.start(web)
    net.lab.start(asker)
    net.lab.wait(asker)
    assert b"reached" in net.lab.output(asker), net.lab.logs(asker)


def test_replicas_take_turns_and_the_unhealthy_one_none(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    check = HealthcheckSpec(test=("CMD-SHELL", "test ! -e /ill"), interval=0.1, retries=1)
    asker = net.container(network)
    replicas = [net.container(network, aliases=("web",), healthcheck=check) for _ in range(3)]
    for container in (asker, *replicas):
        net.lab.start(container)
    assert net.addresses(asker, "web") == ["10.91.0.3", "10.91.0.4", "10.91.0.5"]
    assert len({str(net.ask(asker, "web").rr[0].rdata) for _ in range(6)}) == 3
    with open(f"/proc/{net.lab.state(replicas[0]).pid}/root/ill", "w"):
        pass
    net.lab.until(lambda: net.addresses(asker, "web") == ["10.91.0.4", "10.91.0.5"])


def test_networks_are_scopes_and_links_are_the_linkers_own(net: Net) -> None:
    front, back = net.network("front", "10.91.0.0/24"), net.network("back", "10.92.0.0/24")
    both = net.container(front, back, aliases=("both",))
    hidden = net.container(back, aliases=("hidden",))
    linker = net.container(front, links=(LinkSpec(container="supervised-c1-1", alias="db"),))
    for container in (both, hidden, linker):
        net.lab.start(container)
    assert net.addresses(linker, "both") == ["10.91.0.2"]
    assert net.ask(linker, "hidden").header.rcode != 0
    assert net.addresses(linker, "db") == ["10.91.0.2"]
    assert net.addresses(both, "hidden") == ["10.92.0.3"]
    assert net.ask(both, "db").header.rcode != 0


def _serve_dns(address: str, answers: dict[str, str]) -> None:
    def answer(packet: bytes) -> bytes:
        query = dnslib.DNSRecord.parse(packet)
        reply = query.reply()
        found = answers.get(str(query.q.qname))
        if found:
            reply.add_answer(dnslib.RR(query.q.qname, rdata=dnslib.A(found)))
        return bytes(reply.pack())

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for made in (udp, tcp):
        made.bind((address, 53))
    tcp.listen()

    def serve_udp() -> None:
        while True:
            packet, asker = udp.recvfrom(4096)
            udp.sendto(answer(packet), asker)

    def serve_tcp() -> None:
        while True:
            connection, _ = tcp.accept()
            packet = connection.recv(4096)
            reply = answer(packet[2:])
            connection.sendall(len(reply).to_bytes(2, "big") + reply)
            connection.close()

    for target in (serve_udp, serve_tcp):
        threading.Thread(target=target, daemon=True).start()


def test_other_names_are_asked_of_the_containers_own_servers(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    asker = net.container(network, dns=("127.0.0.9", "127.0.0.8"))  # nobody serves the first: it refuses at once
    _serve_dns("127.0.0.8", {"example.test.": "203.0.113.7"})
    net.lab.start(asker)
    assert net.addresses(asker, "example.test") == ["203.0.113.7"]
    assert net.addresses(asker, "example.test", tcp=True) == ["203.0.113.7"]


def test_without_an_answering_server_the_failure_is_fast(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    asker = net.container(network, dns=("127.0.0.9",))
    net.lab.start(asker)
    began = time.monotonic()
    assert net.ask(asker, "example.test").header.rcode == dnslib.RCODE.SERVFAIL
    assert net.ask(asker, "example.test", tcp=True).header.rcode == dnslib.RCODE.SERVFAIL
    assert time.monotonic() - began < 2


def test_an_internal_network_asks_nobody(net: Net) -> None:
    network = net.network("inside", "10.91.0.0/24", internal=True)
    asker = net.container(network, dns=("127.0.0.8",))
    _serve_dns("127.0.0.8", {"example.test.": "203.0.113.7"})
    net.lab.start(asker)
    assert net.ask(asker, "example.test").header.rcode == dnslib.RCODE.NXDOMAIN


def test_names_are_answered_after_both_were_killed(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    asker, web = net.container(network), net.container(network, aliases=("web",))
    for container in (asker, web):
        net.lab.start(container)
    net.lab.kill_all()
    net.lab.call("ping")
    assert net.addresses(asker, "web") == ["10.91.0.3"]


def test_a_taken_port_is_refused_with_dockers_words(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    container = net.container(network, ports=(PortSpec(container_port=80, host_port=8080),))
    with (
        socket.create_server(("127.0.0.1", 8080)),
        pytest.raises(Conflict, match=r"^Bind for 0\.0\.0\.0:8080 failed: port is already allocated$"),
    ):
        net.lab.start(container)
    net.lab.start(container)
    other = net.container(network, ports=(PortSpec(container_port=80, host_port=8080, host_ip="127.0.0.1"),))
    with pytest.raises(Conflict, match=r"^Bind for 127\.0\.0\.1:8080 failed: port is already allocated$"):
        net.lab.start(other)
    net.lab.call("stop", container, timeout=0)
    net.lab.start(other)


def test_an_address_that_is_not_here_is_explained(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    container = net.container(network, ports=(PortSpec(container_port=80, host_port=8080, host_ip="198.51.100.9"),))
    with pytest.raises(RuntimeFailure, match=r"198\.51\.100\.9 is not an address of this host"):
        net.lab.start(container)


def test_a_port_stays_held_between_restarts_and_is_free_at_the_end(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    port = PortSpec(container_port=80, host_port=8080)
    container = net.container(network, script="exit 1", ports=(port,), restart=RestartPolicy(name="on-failure", maximum_retry_count=3))
    net.lab.start(container)
    net.lab.until(lambda: net.lab.state(container).restart_count >= 1)
    with pytest.raises(OSError):
        socket.create_server(("127.0.0.1", 8080))
    net.lab.wait(container)
    socket.create_server(("127.0.0.1", 8080)).close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_the_firewall_does_not_redirect_is_relayed(net: Net, address: str) -> None:
    network = net.network("front", "10.91.0.0/24")
    ports = (PortSpec(container_port=80, host_port=8080), PortSpec(container_port=81, host_port=8081, protocol="udp"))
    script = "while :; do nc -l -p 80 -e sh -c 'wc -c'; done"
    container = net.container(network, script=script, ports=ports)
    net.lab.start(container)

    def upload() -> bytes:
        with socket.create_connection((address, 8080), timeout=5) as client:
            client.sendall(b"x" * 3_000_000)
            client.shutdown(socket.SHUT_WR)
            received = b""
            while data := client.recv(4096):
                received += data
            return received

    def attempt() -> bytes | None:
        try:
            return upload()
        except OSError:
            return None

    net.lab.until(lambda: attempt() == b"3000000\n")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pins.inside(net.lab.paths.netns(container)):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", 81))
    threading.Thread(target=lambda: server.sendto(*server.recvfrom(64)), daemon=True).start()
    with server, socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"echo", (address, 8081))
        assert client.recv(16) == b"echo"


def test_the_port_rules_go_when_the_container_ends_by_itself(net: Net) -> None:
    network = net.network("front", "10.91.0.0/24")
    ports = (PortSpec(container_port=80, host_port=8080),)
    container = net.container(network, script="sleep 0.5", ports=ports)

    async def publish() -> None:
        async with Networker(net.lab.paths) as networker:
            await networker.publish(container, ports, ("10.91.0.2", None, network.bridge))

    anyio.run(publish)
    net.lab.start(container)
    assert "8080" in os.popen("nft list ruleset").read()
    net.lab.wait(container)
    net.lab.until(lambda: "8080" not in os.popen("nft list ruleset").read())
