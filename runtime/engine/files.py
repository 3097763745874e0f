"""The files every container finds in /etc: hosts, hostname and resolv.conf. Pure text, made when a container is created."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.spec import ContainerSpec, EndpointSpec, NetworkSpec
from runtime.store import read_file

_LOCALHOST = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hostname(spec: ContainerSpec) -> str:
    """The host name a container gets: its own, or the short id; the host's name when it shares the host's UTS namespace."""
    if spec.hostname:
        return spec.hostname
    if spec.network_mode == "host" or spec.uts_mode == "host":
        import socket

        return socket.gethostname()
    return spec.id[:12]


def hosts(spec: ContainerSpec) -> str:
    """/etc/hosts: localhost, then ``extra_hosts``, then the container's own addresses (hosts(5))."""
    lines = [f"{address}\t{name}" for name, address in spec.extra_hosts]
    name = hostname(spec)
    full = f"{name}.{spec.domainname} {name}" if spec.domainname else name
    lines += [f"{address}\t{full}" for e in spec.endpoints for address in (e.ipv4, e.ipv6) if address]
    return _LOCALHOST + "".join(f"{line}\n" for line in lines)


def resolv_conf(spec: ContainerSpec, endpoints: Sequence[tuple[EndpointSpec, NetworkSpec]]) -> str:
    """/etc/resolv.conf (resolv.conf(5)): the gateway of the first network answers; without networks, what the host uses."""
    host = (read_file("/etc/resolv.conf") or b"").decode(errors="replace")
    gateways = [s.gateway for _, network in endpoints[:1] for s in network.subnets if s.gateway]
    servers = gateways or list(spec.dns) or _host_values(host, "nameserver")
    search = list(spec.dns_search) or [d for line in _host_values(host, "search") for d in line.split()]
    options = list(spec.dns_opt) if not gateways or any(o.startswith("ndots:") for o in spec.dns_opt) else [*spec.dns_opt, "ndots:0"]
    lines = [f"nameserver {s}" for s in servers]
    lines += [f"search {' '.join(search)}"] if search and search != ["."] else []
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def _host_values(text: str, keyword: str) -> list[str]:
    rows = (line.split(None, 1) for line in text.splitlines())
    return [row[1].strip() for row in rows if len(row) == 2 and row[0] == keyword]
