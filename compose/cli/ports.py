"""Ports as ``ps`` and ``port`` show them. Pure; in the command's process."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.record import dataclass
from runtime.state import ContainerState


@dataclass(frozen=True, slots=True, order=True)
class Published:
    """One row of a port list; ``address`` "" and ``public`` 0 for a port that is exposed only."""

    private: int
    address: str
    public: int
    protocol: str

    @property
    def host(self) -> str:
        """address:port, IPv6 addresses in brackets."""
        return f"{bracketed(self.address)}:{self.public}"


def published(state: ContainerState) -> list[Published]:
    """Published ports of a running container (an empty host address is both families'), then its exposed ones."""
    if not state.running:
        return []
    shown = [Published(p.container_port, address, p.host_port, p.protocol) for p in state.spec.ports for address in _addresses(p.host_ip)]
    taken = {(p.private, p.protocol) for p in shown}
    return shown + [Published(port, "", 0, protocol) for port, protocol in dict.fromkeys(_exposed(state)) if (port, protocol) not in taken]


def publishers(state: ContainerState) -> list[dict[str, object]]:
    """The Publishers list of ``ps --format json``."""
    ports = sorted(published(state), key=lambda p: (not p.public, p.private, p.protocol, p.public, p.address))
    return [{"URL": p.address, "TargetPort": p.private, "PublishedPort": p.public, "Protocol": p.protocol} for p in ports]


def display(state: ContainerState) -> str:
    """The PORTS column: runs of equal ports grouped ("0.0.0.0:80-82->80-82/tcp"), mapped ones each by itself, as Docker groups them."""
    groups: dict[str, tuple[int, int]] = {}
    closed: list[str] = []
    mapped: list[str] = []
    for port in sorted(published(state)):
        if port.address and port.public != port.private:
            mapped.append(f"{port.host}->{port.private}/{port.protocol}")
            continue
        key = f"{bracketed(port.address)}/{port.protocol}" if port.address else port.protocol
        first, last = groups.get(key, (port.private, port.private - 1))
        if port.private != last + 1:
            closed.append(_group(key, first, last))
            first = port.private
        groups[key] = (first, port.private)
    return ", ".join([*closed, *(_group(k, first, last) for k, (first, last) in groups.items()), *mapped])


def bracketed(address: str) -> str:
    """An address as it stands before a colon."""
    return f"[{address}]" if ":" in address else address


def _group(key: str, first: int, last: int) -> str:
    address, slash, protocol = key.rpartition("/")
    span = f"{first}" if first == last else f"{first}-{last}"
    return f"{address}:{span}->{span}/{protocol}" if slash else f"{span}/{protocol}"


def _addresses(host_ip: str) -> tuple[str, ...]:
    return (host_ip,) if host_ip else ("0.0.0.0", "::")  # noqa: S104 (shown, not bound)


def _exposed(state: ContainerState) -> Iterator[tuple[int, str]]:
    for entry in (*state.image.exposed_ports, *state.spec.expose):
        ports, _, protocol = entry.partition("/")
        first, _, last = ports.partition("-")
        if first.isdigit():
            for port in range(int(first), int(last or first) + 1):
                yield port, protocol or "tcp"
