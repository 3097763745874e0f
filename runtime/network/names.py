"""Who has which name on which network: the records that supervisors write for what runs. In the supervisor; stdlib only.

A record is ``<run>/names/<network>/<container id>.json``::

    {"id": …, "project": …, "name": "demo-web-1", "hostname": …, "ipv4": "172.18.0.2", "ipv6": null,
     "names": ["demo-web-1", "web", "0123456789ab"], "links": {"database": "demo-db-1"},
     "unhealthy": false, "internal": false}

One per running container and network, written (atomically, by rename) before its process starts, replaced when its health changes and
removed when it exits. ``unhealthy`` takes it out of the rotation while healthy replicas remain; ``internal`` says that the container is on
internal networks only, so that nothing it asks is forwarded. Both may be left out.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import field

from runtime.record import dataclass
from runtime.store import entries, read_file, remove_file, write_atomic

_SETTLED = 50_000_000  # ns: file times are only as fine as the kernel's tick, so a younger directory may still change unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRecord:
    """One running container on one network. ``names`` are all that others find it by; ``links`` are its own: alias → container name."""

    network: str
    id: str
    name: str
    project: str = ""
    hostname: str = ""
    ipv4: str | None = None
    ipv6: str | None = None
    names: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    unhealthy: bool = False
    internal: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses it has, IPv4 first."""
        return tuple(filter(None, (self.ipv4, self.ipv6)))


class Names:
    """An index over records: by network and lower-case name, by address, and by container. Immutable."""

    __slots__ = ("by_address", "by_name", "of_container")

    def __init__(self, records: Iterable[NameRecord] = ()) -> None:
        self.by_name: dict[tuple[str, str], list[NameRecord]] = {}
        self.by_address: dict[str, list[NameRecord]] = {}
        self.of_container: dict[str, list[NameRecord]] = {}
        for record in sorted(records, key=lambda r: (r.network, r.name, r.id)):
            self._add(record)

    def _add(self, record: NameRecord) -> None:
        for name in dict.fromkeys(n.lower().rstrip(".") for n in (record.name, *record.names)):
            self.by_name.setdefault((record.network, name), []).append(record)
        for address in record.addresses:
            self.by_address.setdefault(_canonical(address), []).append(record)
        self.of_container.setdefault(record.id, []).append(record)

    def asker(self, client_address: str) -> NameRecord | None:
        """The container that a query's source address belongs to."""
        found = self.by_address.get(_canonical(client_address.partition("%")[0]))
        return found[0] if found else None

    def networks(self, container_id: str) -> list[str]:
        """The networks a container is on."""
        return [r.network for r in self.of_container.get(container_id, ())]


class NamesDirectory:
    """``<run>/names`` as ``Names``, read again only where a network's directory changed (a few stat(2) calls otherwise)."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._seen: dict[str, tuple[int, tuple[NameRecord, ...]]] = {}
        self._names = Names()

    def current(self) -> Names:
        """The names of this moment."""
        networks = entries(self.directory)
        changed = [n for n in networks if self._stamp(n) != self._seen.get(n, (0, ()))[0]]
        gone = self._seen.keys() - set(networks)
        for network in changed:
            stamp = self._stamp(network)
            settled = time.time_ns() - stamp > _SETTLED
            self._seen[network] = (stamp if settled else -1, read_records(self.directory, network))
        for network in gone:
            del self._seen[network]
        if changed or gone:
            self._names = Names(record for _, records in self._seen.values() for record in records)
        return self._names

    def _stamp(self, network: str) -> int:
        try:
            return os.stat(f"{self.directory}/{network}").st_mtime_ns
        except OSError:
            return 0


def read_records(directory: str, network: str) -> tuple[NameRecord, ...]:
    """The records of one network; a file that vanishes or is not a record is passed over."""
    files = (f"{directory}/{network}/{name}" for name in entries(f"{directory}/{network}") if name.endswith(".json"))
    return tuple(r for r in (_record(network, read_file(file)) for file in files) if r)


def write_record(directory: str, record: NameRecord) -> None:
    """Put a record in place (``directory`` is ``<run>/names``)."""
    os.makedirs(f"{directory}/{record.network}", exist_ok=True)
    values = {slot: getattr(record, slot) for slot in NameRecord.__slots__ if slot != "network"}
    write_atomic(f"{directory}/{record.network}/{record.id}.json", json.dumps(values | {"links": dict(record.links)}))


def remove_record(directory: str, network: str, container_id: str) -> None:
    """Take a record away; already gone is success."""
    remove_file(f"{directory}/{network}/{container_id}.json")


def _canonical(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
    except OSError:
        return address


def _record(network: str, content: bytes | None) -> NameRecord | None:
    try:
        values = json.loads(content or b"")
        known = {k: values[k] for k in NameRecord.__slots__ if k in values and k != "network"}
        return NameRecord(network=network, **(known | {"names": tuple(values.get("names", ()))}))
    except (ValueError, TypeError):
        return None
