"""Names and addresses on a project's networks: who finds whom under which name, links, addresses that are set, internal and IPv6 networks."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
SLEEPER = "image: busybox:latest, init: true, command: sleep 300"


class Inside:
    """Commands in the containers of one project."""

    def __init__(self, pycompose: CommandLine, directory: Path) -> None:
        self.pycompose, self.directory = pycompose, directory

    def __call__(self, service: str, script: str) -> str:
        return self.pycompose(self.directory, "exec", "-T", service, "sh", "-c", script).out

    def address(self, service: str, link: str = "eth0", index: int = 1) -> str:
        script = f"ip -o -4 addr show dev {link} | sed 's/.*inet \\([0-9.]*\\).*/\\1/'"
        return self.pycompose(self.directory, "exec", "-T", "--index", str(index), service, "sh", "-c", script).out.strip()


def test_service_container_alias_and_hostname_are_names(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  web: {{{SLEEPER}, scale: 3}}
  db: {{{SLEEPER}, container_name: the-db, hostname: dbhost, networks: {{default: {{aliases: [store]}}, back: {{}}}}}}
  alone: {{{SLEEPER}, networks: [back]}}
networks: {{back: {{}}}}
""")
    pycompose(directory, "up", "-d")
    inside = Inside(pycompose, directory)
    back, front = inside.address("db", "eth0"), inside.address("db", "eth1")
    replicas = {inside.address("web", index=n) for n in (1, 2, 3)}
    assert len(replicas) == 3
    names = ("db", "the-db", "store", "dbhost", "DB", "the-db.demo_default")
    script = "for n in " + " ".join(names) + "; do ping -c1 -W2 $n | head -1; done"
    assert [line.split()[2] for line in inside("web", script).splitlines()] == [f"({front}):"] * len(names)
    answer = inside("db", "nslookup web; nslookup demo-web-2; nslookup web | sed -n 's/^Address: //p' | tail -1")
    assert replicas <= set(answer.split())
    seen = inside(
        "alone",
        "nslookup db | sed -n 's/^Address: //p'; ping -c1 -W1 the-db | grep -c ' 0% '; "
        "for n in web store demo-web-1; do nslookup $n >/dev/null || echo not $n; done",
    )
    assert seen.split() == [back, "1", "not", "web", "not", "store", "not", "demo-web-1"]
    reverse = inside("db", f"nslookup {inside.address('web', index=2)}")
    assert "name = demo-web-2.demo_default" in reverse


def test_a_link_is_a_dependency_and_a_name_for_the_linker_alone(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  web: {{{SLEEPER}, links: ["db:data", db]}}
  db: {{{SLEEPER}, expose: ["5432"], environment: {{PASS: x}}}}
  other: {{{SLEEPER}}}
""")
    pycompose(directory, "up", "-d", "web")
    assert set(rows(pycompose, directory)) == {"web-1", "db-1"}
    pycompose(directory, "up", "-d", "other")
    inside = Inside(pycompose, directory)
    address = inside.address("db")
    assert f"PING data ({address})" in inside("web", "ping -c1 -W1 data")
    assert inside("other", "nslookup data >/dev/null || echo none; ping -c1 -W1 db | head -1").split("\n")[0] == "none"
    environment = dict(line.split("=", 1) for line in inside("web", "env").splitlines() if line.startswith(("DATA_", "DB_")))
    assert environment["DATA_NAME"] == "/demo-web-1/data"
    assert environment["DATA_ENV_PASS"] == "x"
    assert environment["DB_PORT_5432_TCP"] == f"tcp://{address}:5432"


def test_addresses_that_are_set(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  a:
    image: busybox:latest
    init: true
    command: sleep 300
    networks:
      front: {{ipv4_address: 10.77.1.10, mac_address: "02:42:ac:11:65:43", interface_name: eth7}}
      back: {{ipv4_address: 10.77.2.9, ipv6_address: "fd00:77::10", interface_name: inner0}}
  b: {{{SLEEPER}, networks: [front, back]}}
networks:
  front: {{ipam: {{config: [{{subnet: 10.77.1.0/24, gateway: 10.77.1.254}}]}}}}
  back: {{enable_ipv6: true, ipam: {{config: [{{subnet: 10.77.2.0/24}}, {{subnet: "fd00:77::/64"}}]}}}}
""")
    pycompose(directory, "up", "-d")
    inside = Inside(pycompose, directory)
    shown = inside("a", "ip -o addr; ip -o link; ip route; ip -6 route")
    assert "eth7    inet 10.77.1.10/24 brd 10.77.1.255" in shown
    assert "inner0    inet 10.77.2.9/24" in shown
    assert "inner0    inet6 fd00:77::10/64" in shown
    assert shown.count("02:42:ac:11:65:43") == 1
    assert "default via 10.77.2.1 dev inner0" in shown
    assert "default via fd00:77::1 dev inner0" in shown
    assert "default via 10.77.1.254" not in shown
    pings = inside("b", "ping -c1 -W2 10.77.1.10; ping6 -c1 -W2 fd00:77::10; nslookup a")
    assert pings.count(" 0% packet loss") == 2
    assert {"10.77.1.10", "10.77.2.9", "fd00:77::10"} <= set(pings.split())
    assert inside("b", "ip -o -4 addr show dev eth1").split()[3] == "10.77.1.1/24"  # the gateway is another: the first address is free
    before = rows(pycompose, directory)
    pycompose(directory, "restart", "-t", "0", "a")
    assert rows(pycompose, directory).keys() == before.keys()
    assert "eth7    inet 10.77.1.10/24" in inside("a", "ip -o addr")


def test_an_address_that_cannot_be(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    text = f"""
services:
  a: {{{SLEEPER}, networks: {{n: {{ipv4_address: ADDRESS}}}}}}
  b: {{{SLEEPER}, networks: {{n: {{ipv4_address: 10.77.3.9}}}}}}
networks: {{n: {{ipam: {{config: [{{subnet: 10.77.3.0/24}}]}}}}}}
"""
    outside = pycompose(stack(text.replace("ADDRESS", "10.78.0.1")), "up", "-d", ok=False)
    assert outside.code == 1
    assert "10.78.0.1" in outside.err
    twice = pycompose(stack(text.replace("ADDRESS", "10.77.3.9")), "up", "-d", ok=False)
    assert twice.code == 1
    assert "10.77.3.9" in twice.err


def test_an_internal_network_has_no_way_out(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  a: {{{SLEEPER}, networks: [inside]}}
  b: {{{SLEEPER}, networks: [inside, outside]}}
networks:
  inside: {{internal: true, enable_ipv6: true}}
  outside: {{}}
""")
    pycompose(directory, "up", "-d")
    inside = Inside(pycompose, directory)
    shown = inside("a", "ip route; ip -6 route; ping -c1 -W2 b; ping6 -c1 -W2 b; ping -c1 -W1 10.99.99.99 2>&1; true")
    assert "default" not in shown
    assert shown.count(" 0% packet loss") == 2
    assert "Network is unreachable" in shown
    assert "default via" in inside("b", "ip route")
    shape = json.loads(pycompose(directory, "ps", "--format", "json", "b").out)
    assert shape["Networks"] == "demo_inside,demo_outside"


def test_names_resolve_beside_a_server_on_port_53_of_every_address(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services: {{web: {{{SLEEPER}}}, db: {{{SLEEPER}}}, late: {{{SLEEPER}}}}}")
    inside = Inside(pycompose, directory)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 53))  # in the stack's own network namespace, as a host's dnsmasq would
        pycompose(directory, "up", "-d", "web", "db")
        assert inside.address("db") in inside("web", "ping -c1 -W2 db")
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(512)
        assert "another server has it on every address (udp): ours listens on port" in pycompose(directory, "doctor", ok=False).out
    pycompose(directory, "up", "-d", "late")
    assert inside.address("late") in inside("web", "ping -c1 -W2 late")


def test_an_external_link_may_name_a_container_that_comes_later(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  web: {{{SLEEPER}, external_links: ["demo-db-1:outer", "nobody:nothing"]}}
  db: {{{SLEEPER}}}
""")
    said = pycompose(directory, "up", "-d").err
    assert "services.web.external_links: no container nobody yet" in said
    inside = Inside(pycompose, directory)
    assert inside.address("db") in inside("web", "ping -c1 -W2 outer")
