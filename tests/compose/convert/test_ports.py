from __future__ import annotations

import pytest

from compose.errors import PlanError
from compose.intent import Up
from compose.model import Port, Service
from compose.plan import CreateContainer
from compose.planner import plan
from runtime.spec import PortSpec
from tests.fakes import carry_out, engine, project, service


def published(*services: Service, **snapshot: object) -> list[PortSpec]:
    made = plan(project(*services), engine().snapshot(**snapshot), Up())
    return [p for s in made.steps if isinstance(s.operation, CreateContainer) for p in s.operation.spec.ports]


def test_fixed_ports_stay_as_written() -> None:
    (port,) = published(service("web", ports=(Port(target=53, published="5353", host_ip="127.0.0.1", protocol="udp"),)))
    assert port == PortSpec(container_port=53, host_port=5353, host_ip="127.0.0.1", protocol="udp", origin="services.web.ports[0]")


@pytest.mark.parametrize("text", ["", "0"])
def test_random_ports_are_ephemeral_and_differ(text: str) -> None:
    ports = published(service("web", scale=20, ports=(Port(target=80, published=text),)), ephemeral_ports=(40000, 40019))
    assert sorted(p.host_port for p in ports) == list(range(40000, 40020))


def test_random_ports_avoid_what_is_in_use() -> None:
    used = frozenset(("tcp", "127.0.0.1", p) for p in range(40000, 40009))
    (port,) = published(service("web", ports=(Port(target=80),)), ephemeral_ports=(40000, 40009), ports_in_use=used)
    assert port.host_port == 40009


def test_a_range_gives_every_replica_the_first_free_port() -> None:
    used = frozenset({("tcp", "0.0.0.0", 9001)})
    ports = published(service("web", scale=2, ports=(Port(target=80, published="9000-9004"),)), ports_in_use=used)
    assert [p.host_port for p in ports] == [9000, 9002]


def test_a_port_used_on_another_address_is_free() -> None:
    used = frozenset({("tcp", "10.0.0.1", 9000), ("udp", "", 9000)})
    (port,) = published(service("web", ports=(Port(target=80, published="9000-9001", host_ip="127.0.0.1"),)), ports_in_use=used)
    assert port.host_port == 9000


def test_a_used_up_range_is_refused() -> None:
    used = frozenset({("tcp", "", 9000), ("tcp", "::", 9001)})
    with pytest.raises(PlanError, match=r"services.web.ports\[0\]: all ports of 9000-9001/tcp are already allocated"):
        published(service("web", ports=(Port(target=80, published="9000-9001"),)), ports_in_use=used)


def test_more_replicas_than_host_ports_are_refused_before_anything_is_done() -> None:
    with pytest.raises(PlanError, match=r"port is already allocated") as refused:
        published(service("web", scale=3, ports=(Port(target=80, published="8080"),)))
    assert refused.value.hint == 'publish a range ("8080-8082:80"), or leave the host port out'


def test_a_replaced_container_keeps_its_random_port_and_its_place_in_a_range() -> None:
    there = engine()
    of = project(service("web", ports=(Port(target=80), Port(target=81, published="9000-9000"))))
    carry_out(there, of, Up())
    before = there.named("demo-web-1").spec.ports
    in_use = frozenset((p.protocol, "", p.host_port) for p in before)
    carry_out(there, of, Up(force_recreate=True), ports_in_use=in_use)
    assert there.named("demo-web-1").spec.ports == before


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(PlanError, match=r"protocol 'icmp' is not tcp, udp or sctp"):
        published(service("web", ports=(Port(target=80, protocol="icmp"),)))
