"""Answers to containers' questions, read back by an independent codec, and packets of people who mean harm."""

from __future__ import annotations

import os
import struct
import time

import dnslib
import pytest
from dnslib import QTYPE, RCODE, DNSRecord
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.network import resolver, wire
from runtime.network.resolver import Forward, NameRecord, Names, NamesDirectory, answer

WEB, DB1, DB2, OTHER, CLOSED = (c * 64 for c in "12345")
NAMES = Names(
    [
        NameRecord(network="p_front", id=WEB, name="p-web-1", ipv4="172.18.0.2", names=("web", WEB[:12]), links={"Database": "p-db-2"}),
        NameRecord(network="p_back", id=WEB, name="p-web-1", ipv4="172.19.0.2", ipv6="fd00::2", names=("web", "api")),
        NameRecord(network="p_back", id=DB1, name="p-db-1", ipv4="172.19.0.3", ipv6="FD00:0::3", names=("db", "p.db.alias")),
        NameRecord(network="p_back", id=DB2, name="p-db-2", ipv4="172.19.0.4", names=("DB",)),
        NameRecord(network="q_net", id=OTHER, name="q-x-1", ipv4="172.20.0.2", names=("secret",)),
        NameRecord(network="shut", id=CLOSED, name="c-1", ipv4="172.21.0.2", names=("c",), internal=True),
    ]
)


def ask(name, kind="A", client="172.19.0.2", names=NAMES, **options):
    reply = answer(DNSRecord.question(name, kind).pack(), client, names, **options)
    return reply if isinstance(reply, Forward) else DNSRecord.parse(reply)


def data(name, kind="A", **options):
    reply = ask(name, kind, **options)
    assert reply.header.rcode == RCODE.NOERROR
    assert all(QTYPE[r.rtype] == kind or kind == "ANY" for r in reply.rr)
    return [str(r.rdata) for r in reply.rr]


def test_every_kind_of_name():
    assert data("p-db-1") == ["172.19.0.3"]
    assert data("DB.") == ["172.19.0.3", "172.19.0.4"]
    assert data("p-db-1.p_back") == ["172.19.0.3"]
    assert data("p.db.alias") == ["172.19.0.3"]
    assert data(WEB[:12], client="172.18.0.2") == ["172.18.0.2"]
    assert sorted(data("web")) == ["172.18.0.2", "172.19.0.2"]  # itself, on both of its networks


def test_scope_is_the_askers_networks():
    assert isinstance(ask("secret"), Forward)
    assert isinstance(ask("web", client="172.20.0.2"), Forward)
    assert isinstance(ask("p-db-1.q_net"), Forward)
    assert data("api", client="172.19.0.3") == ["172.19.0.2"]
    assert data("web", client="172.19.0.3") == ["172.19.0.2"]  # not the address on a network the asker is not on
    assert ask("web", client="9.9.9.9") == Forward(None)
    assert ask("example.org") == Forward(WEB)


def test_links_are_the_linkers_own():
    assert data("database") == ["172.19.0.4"]
    assert data("DATABASE", client="172.18.0.2") == ["172.19.0.4"]
    assert isinstance(ask("database", client="172.19.0.3"), Forward)


def test_other_types_of_known_names_are_empty_not_missing():
    assert data("p-db-2", "AAAA") == []
    assert data("db", "AAAA") == ["fd00::3"]
    assert data("db", "MX") == []
    assert set(data("p-db-1", "ANY")) == {"172.19.0.3", "fd00::3"}


def test_reverse():
    assert data("3.0.19.172.in-addr.arpa", "PTR") == ["p-db-1.p_back."]
    assert data(".".join(reversed("fd000000000000000000000000000003")) + ".ip6.arpa", "PTR") == ["p-db-1.p_back."]
    assert isinstance(ask("2.0.20.172.in-addr.arpa", "PTR"), Forward)
    assert isinstance(ask("8.8.8.8.in-addr.arpa", "PTR"), Forward)
    assert data("3.0.19.172.in-addr.arpa", "A") == []


def test_rotation_and_health():
    replicas = [
        NameRecord(network="n", id=f"{i:064x}", name=f"w-{i}", ipv4=f"10.0.0.{i}", names=("w",), unhealthy=i == 2) for i in range(1, 5)
    ]
    firsts = [data("w", names=Names(replicas), client="10.0.0.1", turn=t)[0] for t in range(6)]
    assert firsts == ["10.0.0.1", "10.0.0.3", "10.0.0.4"] * 2
    ill = [NameRecord(network="n", id="1", name="w-1", ipv4="10.0.0.1", names=("w",), unhealthy=True)]
    assert data("w", names=Names(ill), client="10.0.0.1") == ["10.0.0.1"]  # better a sick one than none


def test_internal_only_asks_nobody_outside():
    reply = ask("example.org", client="172.21.0.2")
    assert reply.header.rcode == RCODE.NXDOMAIN
    assert data("c", client="172.21.0.2") == ["172.21.0.2"]


def test_truncation_edns_and_tcp():
    many = Names(NameRecord(network="n", id=f"{i:064x}", name=f"w-{i}", ipv4=f"10.0.1.{i}", names=("w",)) for i in range(1, 101))
    short = answer(DNSRecord.question("w").pack(), "10.0.1.1", many)
    assert isinstance(short, bytes)
    assert len(short) <= 512
    parsed = DNSRecord.parse(short)
    assert parsed.header.tc == 1
    assert 25 <= len(parsed.rr) < 100
    assert len(DNSRecord.parse(answer(DNSRecord.question("w").pack(), "10.0.1.1", many, tcp=True)).rr) == 100
    query = DNSRecord.question("w")
    query.add_ar(dnslib.EDNS0(udp_len=4096))
    big = DNSRecord.parse(answer(query.pack(), "10.0.1.1", many))
    assert (len(big.rr), big.header.tc, [r.rtype for r in big.ar]) == (100, 0, [QTYPE.OPT])


def test_header_bits():
    query = DNSRecord.question("db")
    reply = DNSRecord.parse(answer(query.pack(), "172.19.0.2", NAMES))
    assert (reply.header.id, reply.header.qr, reply.header.aa, reply.header.ra, reply.header.rd) == (query.header.id, 1, 1, 1, 1)
    assert str(reply.q.qname) == "db."
    mixed = DNSRecord.parse(answer(DNSRecord.question("dB").pack(), "172.19.0.2", NAMES))
    assert str(mixed.q.qname) == "dB."  # resolvers that mix case to harden themselves want it back


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b"", b""),
        (b"\0" * 11, b""),
        (b"\x12\x34\x80\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", b""),  # a reply: silence
        (b"\x12\x34\x28\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", b"\x12\x34\xa8\x04" + b"\0" * 8),  # UPDATE: not implemented
        (b"\x12\x34\x01\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1", b"\x12\x34\x81\x01" + b"\0" * 8),  # two questions
        (b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", b"\x12\x34\x81\x01" + b"\0" * 8),  # a name that points at itself
        (b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\x3fabc", b"\x12\x34\x81\x01" + b"\0" * 8),  # cut
        (
            b"\x12\x34\x01\0\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
            b"\x12\x34\x81\x01" + b"\0" * 8,
        ),
    ],
)
def test_hostile_packets(packet, expected):
    assert answer(packet, "172.19.0.2", NAMES) == expected


@given(st.binary(max_size=600))
@example(b"\0\0\1\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1\0\0\x29")
def test_any_bytes_are_answered_forwarded_or_dropped(packet):
    result = answer(packet, "172.19.0.2", NAMES)
    assert isinstance(result, (bytes, Forward))
    if isinstance(result, bytes) and result:
        assert result[:2] == packet[:2]
        assert result[2] & 0x80
        DNSRecord.parse(result)
    assert isinstance(resolver.failure(packet), bytes)


labels = st.lists(st.text(st.characters(max_codepoint=127, exclude_characters="."), min_size=1, max_size=40).map(str.encode), max_size=6)


@given(labels, st.sampled_from([1, 12, 15, 16, 28, 33, 255]), st.sampled_from([1, 3, 255]), st.integers(0, 65535))
def test_questions_read_as_another_codec_reads_them(parts, kind, klass, number):
    packet = (
        struct.pack("!6H", number, 0x0100, 1, 0, 0, 0)
        + b"".join(bytes([len(p)]) + p for p in parts)
        + b"\0"
        + struct.pack("!2H", kind, klass)
    )
    reference = DNSRecord.parse(packet)
    question = wire.parse(packet)
    assert (question.id, question.type, question.klass) == (reference.header.id, reference.q.qtype, reference.q.qclass)
    assert [p.lower() for p in reference.q.qname.label] == [p.encode("utf-8", "surrogateescape") for p in question.name.split(".") if p]


@given(st.lists(st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=6)), min_size=1, max_size=8, unique=True), st.sampled_from(["A", "AAAA"]))
def test_addresses_arrive_unchanged(pairs, kind):
    records = [
        NameRecord(network="n", id=f"{i:064x}", name=f"w-{i}", ipv4=str(a), ipv6=str(b), names=("w",)) for i, (a, b) in enumerate(pairs)
    ]
    got = data("w", kind, names=Names(records), client=str(pairs[0][0]), tcp=True)
    assert sorted(got) == sorted({str(b if kind == "AAAA" else a) for a, b in pairs})


def test_replies_of_upstreams_are_checked():
    query = DNSRecord.question("example.org")
    good = query.reply().pack()
    assert resolver.belongs(good, query.pack())
    assert not resolver.belongs(query.pack(), query.pack())
    assert not resolver.belongs(DNSRecord.question("example.com").reply().pack(), query.pack())
    assert not resolver.belongs(b"\0\0" + good[2:], query.pack()) or query.header.id == 0
    assert not resolver.belongs(b"", query.pack())


def test_failure_is_servfail():
    reply = DNSRecord.parse(resolver.failure(DNSRecord.question("example.org").pack()))
    assert reply.header.rcode == RCODE.SERVFAIL


def test_host_servers(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("# x\nsearch a\nnameserver 127.0.0.53\nnameserver fd00::1\nnameserver\nnameserver 1.1.1.1\nnameserver 8.8.8.8\n")
    assert resolver.host_servers(str(file)) == ("127.0.0.53", "fd00::1", "1.1.1.1")
    assert resolver.host_servers(str(tmp_path / "none")) == ()


def test_directory_is_read_when_it_changes(tmp_path):
    directory = NamesDirectory(str(tmp_path / "names"))
    assert directory.current().by_name == {}
    record = NameRecord(network="n", id="1" * 64, name="w-1", ipv4="10.0.0.1", names=("w",), links={"l": "w-2"})
    resolver.write_record(directory.directory, record)
    assert directory.current().by_name["n", "w"] == [record]
    (tmp_path / "names" / "n" / "broken.json").write_text("{")
    (tmp_path / "names" / "n" / "odd.json").write_text('{"id": 3}')
    assert directory.current().networks("1" * 64) == ["n"]
    _age(tmp_path / "names" / "n")
    first = directory.current()
    assert directory.current() is first  # nothing changed: nothing read
    resolver.remove_record(directory.directory, "n", "1" * 64)
    resolver.remove_record(directory.directory, "n", "1" * 64)
    assert directory.current().by_name == {}


def _age(path):
    old = time.time_ns() - 10**9
    os.utime(path, ns=(old, old))
