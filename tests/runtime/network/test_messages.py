"""Our own rtnetlink messages against pyroute2's encoding of the same wishes."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from runtime.network import messages

NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,14}", fullmatch=True)
NUMBERS = st.integers(1, 2**31 - 1)
MACS = st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":"))
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


def reference(kind: Any, number: int, flags: int, fields: Mapping[str, int], attributes: Sequence[tuple[str, Any]] = ()) -> bytes:
    """The message as pyroute2 encodes it."""
    message = kind()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = list(attributes)
    message["header"]["type"], message["header"]["flags"] = number, flags
    message.encode()
    return bytes(message.data)


@given(index=NUMBERS)
def test_up(index: int) -> None:
    assert messages.up(index) == reference(ifinfmsg, messages.NEWLINK, 0, {"index": index, "flags": 1, "change": 1})


@given(name=NAMES, mac=MACS, mtu=NUMBERS, kind=st.sampled_from(("bridge", "dummy")))
def test_a_link_of_a_kind(name: str, mac: str, mtu: int, kind: str) -> None:
    attributes = messages.text(messages.IFLA_IFNAME, name) + messages.hardware_address(mac) + messages.number(messages.IFLA_MTU, mtu)
    ours = messages.link(messages.NEWLINK, messages.CREATE | messages.EXCL, attributes + messages.kind_of_link(kind))
    info = {"attrs": [("IFLA_INFO_KIND", kind)]}
    wanted = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), ("IFLA_MTU", mtu), ("IFLA_LINKINFO", info)]
    assert ours == reference(ifinfmsg, messages.NEWLINK, 0x600, {}, wanted)


@given(name=NAMES, inner=NAMES, mac=MACS, mtu=NUMBERS, master=NUMBERS, descriptor=NUMBERS)
def test_a_veth_pair(name: str, inner: str, mac: str, mtu: int, master: int, descriptor: int) -> None:
    size = messages.number(messages.IFLA_MTU, mtu)
    peer = messages.text(messages.IFLA_IFNAME, inner) + messages.hardware_address(mac) + size
    pair = messages.kind_of_link("veth", messages.veth_peer(peer + messages.number(messages.IFLA_NET_NS_FD, descriptor)))
    attributes = messages.text(messages.IFLA_IFNAME, name) + size + messages.number(messages.IFLA_MASTER, master) + pair
    ends = [("IFLA_IFNAME", inner), ("IFLA_ADDRESS", mac), ("IFLA_MTU", mtu), ("IFLA_NET_NS_FD", descriptor)]
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", {"attrs": ends})]})]}
    wanted = [("IFLA_IFNAME", name), ("IFLA_MTU", mtu), ("IFLA_MASTER", master), ("IFLA_LINKINFO", info)]
    expected = reference(ifinfmsg, messages.NEWLINK, 0x600, {"flags": 1, "change": 1}, wanted)
    assert messages.link(messages.NEWLINK, messages.CREATE | messages.EXCL, attributes, up=True) == expected


@given(name=NAMES)
def test_a_port_that_sends_back(name: str) -> None:
    data = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", {"attrs": [("IFLA_BRPORT_MODE", 1)]})]}
    expected = reference(ifinfmsg, messages.NEWLINK, 0, {}, [("IFLA_IFNAME", name), ("IFLA_LINKINFO", data)])
    assert messages.link(messages.NEWLINK, 0, messages.text(messages.IFLA_IFNAME, name) + messages.hairpin()) == expected


@given(index=NUMBERS, value=ADDRESSES, length=st.integers(1, 32))
def test_an_address(index: int, value: str, length: int) -> None:
    v6 = ":" in value
    attributes = [("IFA_LOCAL", value), ("IFA_ADDRESS", value)]
    if not v6 and length < 31:
        attributes.append(("IFA_BROADCAST", str(ipaddress.ip_interface(f"{value}/{length}").network.broadcast_address)))
    family = socket.AF_INET6 if v6 else socket.AF_INET
    fields = {"family": family, "prefixlen": length, "index": index, "flags": 2 if v6 else 0}
    assert messages.address(index, value, length) == reference(ifaddrmsg, messages.NEWADDR, 0x500, fields, attributes)


@given(index=NUMBERS, gateway=ADDRESSES)
def test_a_default_route(index: int, gateway: str) -> None:
    fields = {"family": socket.AF_INET6 if ":" in gateway else socket.AF_INET, "table": 254, "proto": 3, "scope": 0, "type": 1}
    expected = reference(rtmsg, messages.NEWROUTE, 0x500, fields, [("RTA_GATEWAY", gateway), ("RTA_OIF", index)])
    assert messages.default_route(index, gateway) == expected


@given(name=NAMES, alias=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=40))
def test_texts_are_read_back(name: str, alias: str) -> None:
    packet = reference(ifinfmsg, messages.NEWLINK, 0, {}, [("IFLA_MTU", 1400), ("IFLA_IFNAME", name), ("IFLA_IFALIAS", alias)])
    assert messages.texts(packet)[messages.IFLA_IFNAME] == name
    assert messages.texts(packet)[messages.IFLA_IFALIAS] == alias
