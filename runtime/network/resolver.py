"""What a container's DNS question is answered: a pure lookup over names. In the supervisor; stdlib only.

Use: ``names = NamesDirectory(f"{paths.run}/names")`` once; per packet ``answer(packet, source_address, names.current(), …)``. ``bytes`` are
sent back (b"" means: send nothing), ``Forward`` goes to the asker's own ``dns`` servers or ``host_servers()``; check what comes back with
``belongs`` and send ``failure(packet)`` when nobody answers in time.
"""

from __future__ import annotations

from runtime.network import wire
from runtime.network.names import NameRecord, Names, NamesDirectory, read_records, remove_record, write_record
from runtime.network.wire import Malformed, Question
from runtime.record import dataclass

PORT = 53
SECOND_PORT = 10053  # where another server has port 53 of every address; the firewall sends our containers' questions there


__all__ = [
    "Forward", "NameRecord", "Names", "NamesDirectory", "answer", "belongs", "failure", "host_servers",
    "read_records", "remove_record", "write_record",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forward:
    """Not ours to answer: send the packet unchanged to an upstream. ``container`` is the asker's id, None when its address is unknown."""

    container: str | None


def answer(query: bytes, client_address: str, names: Names, *, turn: int = 0, tcp: bool = False) -> bytes | Forward:
    """The reply to one packet from a container.

    The asker is known by its address and finds containers that share a network with it, by any of their names, by ``name.network``,
    by its own links, and by address (PTR). Replicas are rotated by ``turn`` (count up). A known name without an address of the asked
    type is an empty NOERROR, so that clients do not go on searching. Everything else is forwarded, or NXDOMAIN for a container on
    internal networks only.
    """
    try:
        question = wire.parse(query)
    except Malformed as malformed:
        return malformed.reply
    asker = names.asker(client_address)
    answers = _lookup(question, asker, names, turn) if asker and question.klass in (wire.IN, wire.ANY) else None
    if answers is not None:
        return wire.reply(question, wire.NOERROR, answers, limit=wire.TCP_LIMIT if tcp else wire.udp_limit(question))
    if asker and asker.internal:
        return wire.reply(question, wire.NXDOMAIN, authoritative=False)
    return Forward(asker.id if asker else None)


def failure(query: bytes) -> bytes:
    """A SERVFAIL reply to a query that was to be forwarded; b"" when it cannot be answered at all."""
    try:
        return wire.reply(wire.parse(query), wire.SERVFAIL, authoritative=False)
    except Malformed as malformed:
        return malformed.reply


def belongs(reply: bytes, query: bytes) -> bool:
    """Whether ``reply`` is a reply to ``query``: same id, same question (names compare without case)."""
    if len(reply) < 12 or not reply[2] & 0x80 or reply[:2] != query[:2]:
        return False
    try:
        section = wire.parse(query).section
    except Malformed:
        return False
    return reply[12 : 12 + len(section)].lower() == section.lower()


def host_servers(path: str = "/etc/resolv.conf") -> tuple[str, ...]:
    """The host's resolvers (resolv.conf(5)), at most three. Loopback stubs count: the supervisor asks from the host's namespace."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return ()
    return tuple(f[1] for f in lines if len(f) > 1 and f[0] == "nameserver")[:3]


def _lookup(question: Question, asker: NameRecord, names: Names, turn: int) -> list[bytes] | None:
    """Resource records, none for a known name without such records, or None for a name that is not ours."""
    address = wire.reversed_address(question.name)
    if address is not None:
        return _reverse(question, address, asker, names)
    found = _find(question.name, asker, names)
    if not found:
        return None
    return [wire.address_record(a) for a in _rotated(_addresses(found, question.type), turn)]


def _find(name: str, asker: NameRecord, names: Names) -> list[NameRecord]:
    networks = names.networks(asker.id)
    linked = _links(asker, names).get(name)
    wanted = linked.lower() if linked else name
    if found := [r for network in networks for r in names.by_name.get((network, wanted), ())]:
        return found
    return [r for n in networks if name.endswith(f".{n.lower()}") for r in names.by_name.get((n, name[: -len(n) - 1]), ())]


def _links(asker: NameRecord, names: Names) -> dict[str, str]:
    """The asker's aliases, from whichever of its records hold them."""
    return {alias.lower(): target for record in names.of_container.get(asker.id, ()) for alias, target in record.links.items()}


def _addresses(found: list[NameRecord], kind: int) -> list[str]:
    """Addresses of the asked type without doubles; unhealthy replicas only when there is no other."""
    serving = [r for r in found if not r.unhealthy] or found
    wanted = {wire.A: ("ipv4",), wire.AAAA: ("ipv6",), wire.ANY: ("ipv4", "ipv6")}.get(kind, ())
    return list(dict.fromkeys(a for r in serving for field in wanted if (a := getattr(r, field))))


def _rotated(addresses: list[str], turn: int) -> list[str]:
    start = turn % len(addresses) if addresses else 0
    return addresses[start:] + addresses[:start]


def _reverse(question: Question, address: str, asker: NameRecord, names: Names) -> list[bytes] | None:
    shared = set(names.networks(asker.id))
    owners = [r for r in names.by_address.get(address, ()) if r.network in shared]
    if not owners:
        return None
    return [wire.pointer_record(f"{r.name}.{r.network}") for r in owners] if question.type in (wire.PTR, wire.ANY) else []
