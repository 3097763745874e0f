"""``ports`` → PortSpec: ranges resolved, random ports chosen. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from compose.convert.books import PortBook
from compose.errors import PlanError
from compose.model import Port, Service
from runtime.spec import PortSpec, Protocol

_PROTOCOLS: dict[str, Protocol] = {"": "tcp", "tcp": "tcp", "udp": "udp", "sctp": "sctp"}


def port_specs(service: Service, book: PortBook, seed: str, before: Sequence[PortSpec] = ()) -> tuple[PortSpec, ...]:
    """Host ports for one replica. ``before`` are those of the container it replaces: random ports stay what they were."""
    return tuple(_port_spec(p, f"services.{service.name}.ports[{i}]", book, seed, before) for i, p in enumerate(service.ports))


def refuse_clash(service: Service, replicas: int) -> None:
    """Raise PlanError when several replicas would publish one and the same host port."""
    if replicas < 2:
        return
    for index, port in enumerate(service.ports):
        numbers = _published(port, f"services.{service.name}.ports[{index}]")
        if 0 < len(numbers) < replicas:
            raise PlanError(
                f"services.{service.name}.ports[{index}]: Bind for {port.host_ip or '*'}:{numbers.start} failed: port is already allocated "
                f"({replicas} replicas, {len(numbers)} host port{'s' if len(numbers) > 1 else ''})",
                hint=f'publish a range ("{numbers.start}-{numbers.start + replicas - 1}:{port.target}"), or leave the host port out',
            )


def exposed_ports(service: Service, image: Sequence[str]) -> tuple[str, ...]:
    """Every port the container offers ("80/tcp"), numerically: the image's, ``expose``, the targets of ``ports``; ranges expanded."""
    written = (*image, *service.expose, *(f"{p.target}/{p.protocol}" for p in service.ports))
    found = {(number, protocol) for text in written for number, protocol in _expanded(text)}
    return tuple(f"{number}/{protocol}" for number, protocol in sorted(found))


def _port_spec(port: Port, origin: str, book: PortBook, seed: str, before: Sequence[PortSpec]) -> PortSpec:
    protocol = _PROTOCOLS.get(port.protocol)
    if protocol is None:
        raise PlanError(f"{origin}: protocol {port.protocol!r} is not tcp, udp or sctp")
    number = _host_port(port, protocol, origin, book, seed, before)
    return PortSpec(
        container_port=port.target,
        host_port=number,
        host_ip=port.host_ip,
        protocol=protocol,
        origin=origin,
        any_host_port=not _published(port, origin),
    )


def _host_port(port: Port, protocol: str, origin: str, book: PortBook, seed: str, before: Sequence[PortSpec]) -> int:
    published = _published(port, origin)
    if not published:
        same = (p for p in before if (p.container_port, p.protocol, p.host_ip, p.origin) == (port.target, protocol, port.host_ip, origin))
        return book.random(protocol, port.host_ip, origin, seed, next(same, None))
    if len(published) > 1:
        return book.first_of(published, protocol, port.host_ip, origin)
    book.claim(protocol, published.start, port.host_ip)
    return published.start


def _published(port: Port, origin: str) -> range:
    """The host ports to choose from; empty means any."""
    low, _, high = port.published.partition("-")
    if low in ("", "0"):
        return range(0)
    try:
        return range(int(low), int(high or low) + 1)
    except ValueError:
        raise PlanError(f"{origin}: published {port.published!r} is neither a port nor a range") from None


def _expanded(text: str) -> list[tuple[int, str]]:
    numbers, _, protocol = text.partition("/")
    low, _, high = numbers.partition("-")
    if not low.isdecimal() or not (high or low).isdecimal():
        return []
    return [(n, protocol or "tcp") for n in range(int(low), int(high or low) + 1)]
