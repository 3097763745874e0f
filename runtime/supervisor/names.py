"""The DNS records of running containers: written at a start, replaced when health changes, removed at an exit. In the supervisor's worker."""

from __future__ import annotations

from runtime import codec
from runtime.network.names import NameRecord, remove_record, write_record
from runtime.spec import NetworkSpec
from runtime.store import Paths, read_file
from runtime.supervisor.facts import Facts


def network(paths: Paths, name: str) -> NetworkSpec | None:
    """The recorded network, or None."""
    text = read_file(f"{paths.networks}/{name}/network.json")
    return None if text is None else codec.loads(NetworkSpec, text)


def publish(paths: Paths, project: str, facts: Facts, *, unhealthy: bool = False) -> None:
    """Let the container be found on each of its networks."""
    networks = {e.network: network(paths, e.network) for e in facts.endpoints}
    internal = bool(networks) and all(n is not None and n.internal for n in networks.values())
    for endpoint in facts.endpoints:
        record = NameRecord(
            network=endpoint.network,
            id=facts.id,
            project=project,
            name=facts.name,
            hostname=facts.hostname,
            ipv4=endpoint.ipv4,
            ipv6=endpoint.ipv6,
            names=tuple(filter(None, dict.fromkeys((facts.name, *endpoint.aliases, facts.id[:12], facts.hostname)))),
            links={link.alias: link.container for link in facts.links},
            unhealthy=unhealthy,
            internal=internal,
        )
        write_record(f"{paths.run}/names", record)


def withdraw(paths: Paths, facts: Facts) -> None:
    """Let it be found no more."""
    for endpoint in facts.endpoints:
        remove_record(f"{paths.run}/names", endpoint.network, facts.id)
