"""DNS messages on the wire (RFC 1035, EDNS RFC 6891): reading one question and writing answers, by hand. In the supervisor; stdlib only.

Nothing here trusts its input: every read is bounded, and whatever is not a plain question raises ``Malformed``.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from runtime.record import dataclass

A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
UDP_LIMIT = 512  # RFC 1035 §4.2.1, without EDNS
EDNS_LIMIT = 4096
TCP_LIMIT = 65535
TTL = 5  # seconds: replicas come and go

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")  # type, class, ttl, length
_QR, _TC, _RD, _RA, _AA = 0x8000, 0x0200, 0x0100, 0x0080, 0x0400
_OPCODE = 0x7800
_POINTER_TO_QUESTION = b"\xc0\x0c"  # RFC 1035 §4.1.4: the name right after the header


class Malformed(Exception):
    """The packet is no question that can be answered; ``reply`` is what to send back, b"" for silence."""

    def __init__(self, reply: bytes = b"") -> None:
        super().__init__("malformed DNS message")
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Question:
    """One question: the name in lower case without its last dot, type and class, and the bytes to echo.

    ``payload`` is the UDP payload size that EDNS offers, 0 without EDNS.
    """

    id: int
    flags: int
    name: str
    type: int
    klass: int
    section: bytes
    payload: int


def parse(packet: bytes) -> Question:
    """The packet's single question. Raises Malformed."""
    if len(packet) < _HEADER.size:
        raise Malformed
    number, flags, questions, *_ = _HEADER.unpack_from(packet)
    if flags & _QR:
        raise Malformed  # a reply: answering it could start a storm between two servers
    if flags & _OPCODE:
        raise Malformed(_bare(number, flags, NOTIMP))
    if questions != 1:
        raise Malformed(_bare(number, flags, FORMERR))
    try:
        name, end = _name(packet, _HEADER.size)
        kind, klass = struct.unpack_from("!2H", packet, end)
        payload = _edns_payload(packet, end + 4)
    except (IndexError, struct.error, ValueError) as error:
        raise Malformed(_bare(number, flags, FORMERR)) from error
    return Question(number, flags, name, kind, klass, packet[_HEADER.size : end + 4], payload)


def reply(question: Question, code: int, answers: Sequence[bytes] = (), *, limit: int = UDP_LIMIT, authoritative: bool = True) -> bytes:
    """A reply with ``answers`` (whole resource records), cut at a record's end with the TC bit set when it would exceed ``limit`` bytes."""
    extra = _opt() if question.payload else b""
    room = limit - _HEADER.size - len(question.section) - len(extra)
    kept: list[bytes] = []
    for record in answers:
        if len(record) > room:
            break
        kept.append(record)
        room -= len(record)
    flags = _QR | _RA | (question.flags & _RD) | (_AA if authoritative else 0) | code
    flags |= _TC if len(kept) < len(answers) else 0
    header = _HEADER.pack(question.id, flags, 1, len(kept), 0, 1 if extra else 0)
    return b"".join((header, question.section, *kept, extra))


def address_record(address: str) -> bytes:
    """An A or AAAA record for the question's name."""
    family, kind = (socket.AF_INET6, AAAA) if ":" in address else (socket.AF_INET, A)
    data = socket.inet_pton(family, address)
    return _POINTER_TO_QUESTION + _RECORD.pack(kind, IN, TTL, len(data)) + data


def pointer_record(name: str) -> bytes:
    """A PTR record for the question's name. Raises ValueError for a name that DNS cannot carry."""
    data = encode_name(name)
    return _POINTER_TO_QUESTION + _RECORD.pack(PTR, IN, TTL, len(data)) + data


def encode_name(name: str) -> bytes:
    """Labels with their lengths (RFC 1035 §3.1). Raises ValueError when a label or the name is too long or empty."""
    labels = [label.encode("utf-8", "surrogateescape") for label in name.split(".")]
    if any(not 1 <= len(label) <= 63 for label in labels):
        raise ValueError(f"not a domain name: {name!r}")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(encoded) > 255:
        raise ValueError(f"domain name too long: {name!r}")
    return encoded


def reversed_address(name: str) -> str | None:
    """The address asked for by a name under in-addr.arpa or ip6.arpa, or None."""
    labels = name.split(".")
    try:
        if labels[-2:] == ["in-addr", "arpa"] and len(labels) == 6:
            return socket.inet_ntoa(bytes(int(label) for label in reversed(labels[:4])))
        if labels[-2:] == ["ip6", "arpa"] and len(labels) == 34 and all(len(label) == 1 for label in labels[:32]):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex("".join(reversed(labels[:32]))))
    except ValueError:
        pass
    return None


def udp_limit(question: Question) -> int:
    """How many bytes a UDP reply to this question may have."""
    return min(max(question.payload, UDP_LIMIT), EDNS_LIMIT)


def _name(packet: bytes, offset: int) -> tuple[str, int]:
    """A name without compression (a question, being first, has nothing to point at) and the offset behind it."""
    labels: list[str] = []
    start = offset
    while length := packet[offset]:
        if length > 63 or offset + 1 + length - start > 254:
            raise ValueError
        label = packet[offset + 1 : offset + 1 + length]
        if len(label) < length:
            raise IndexError
        labels.append(label.lower().decode("utf-8", "surrogateescape"))
        offset += 1 + length
    return ".".join(labels), offset + 1


def _edns_payload(packet: bytes, offset: int) -> int:
    """The payload size in the OPT record, when that is the one record behind the question; 0 otherwise."""
    answers, authority, additional = struct.unpack_from("!3H", packet, 6)
    if answers or authority or additional != 1 or len(packet) < offset + 11 or packet[offset]:
        return 0
    kind, size = struct.unpack_from("!2H", packet, offset + 1)
    return max(size, UDP_LIMIT) if kind == OPT else 0


def _opt() -> bytes:
    return b"\0" + struct.pack("!HHIH", OPT, EDNS_LIMIT, 0, 0)


def _bare(number: int, flags: int, code: int) -> bytes:
    return _HEADER.pack(number, _QR | (flags & (_OPCODE | _RD)) | code, 0, 0, 0, 0)
