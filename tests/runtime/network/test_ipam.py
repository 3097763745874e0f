from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import Conflict, Unsupported
from runtime.network import ipam
from runtime.spec import EndpointSpec, NetworkSpec, SubnetSpec


def test_docker_pools_in_order():
    taken, got = [], []
    for _ in range(31):
        [subnet] = ipam.choose_subnets(taken, True, False, "x")
        got.append(subnet.subnet)
        taken.append(subnet.subnet)
    assert got[0] == "172.17.0.0/16"
    assert got[14] == "172.31.0.0/16"
    assert got[15:17] == ["192.168.0.0/20", "192.168.16.0/20"]
    with pytest.raises(Conflict, match="every default subnet overlaps"):
        ipam.choose_subnets(taken, True, False, "x")


def test_routes_in_use_are_avoided_and_default_routes_are_not():
    [subnet] = ipam.choose_subnets(["0.0.0.0/0", "::/0", "172.16.0.0/14", "172.20.3.0/24", "172.21.0.9/32"], True, False, "x")
    assert subnet == SubnetSpec(subnet="172.22.0.0/16", gateway="172.22.0.1")


@given(st.text(max_size=20), st.text(max_size=20))
def test_ula_is_stable_and_avoids(seed, other):
    [first] = ipam.choose_subnets([], False, True, seed)
    assert [first] == list(ipam.choose_subnets(["172.17.0.0/16"], False, True, seed))
    assert ip_network(first.subnet).subnet_of(ip_network("fd00::/8"))
    assert ip_network(first.subnet).prefixlen == 64
    [second] = ipam.choose_subnets([first.subnet], False, True, seed)
    assert not ip_network(first.subnet).overlaps(ip_network(second.subnet))
    assert (ipam.choose_subnets([], False, True, other)[0] == first) == (seed == other)


def test_addresses_in_order_without_gateway_reserved_broadcast():
    subnet = ipam.complete_subnet(SubnetSpec(subnet="10.9.0.0/29", reserved=("10.9.0.3",)))
    leased: list[str] = []
    for _ in range(4):
        leased.append(ipam.choose_address(subnet, leased))
    assert leased == ["10.9.0.2", "10.9.0.4", "10.9.0.5", "10.9.0.6"]
    with pytest.raises(Conflict, match="no address is left"):
        ipam.choose_address(subnet, leased)


def test_ip_range_and_gateway_elsewhere():
    subnet = ipam.complete_subnet(SubnetSpec(subnet="172.28.0.0/16", ip_range="172.28.5.0/24", gateway="172.28.5.254"))
    assert ipam.choose_address(subnet, ()) == "172.28.5.0"  # inside the range there is no network address
    assert ipam.choose_address(subnet, {f"172.28.5.{i}" for i in range(254)}) == "172.28.5.255"


def test_complete_subnet_normalises_and_refuses():
    assert ipam.complete_subnet(SubnetSpec(subnet="10.1.2.3/24")).subnet == "10.1.2.0/24"
    assert ipam.complete_subnet(SubnetSpec(subnet="fd00::/64")).gateway == "fd00::1"
    assert ipam.complete_subnet(SubnetSpec(subnet="10.0.0.0/24", reserved=("10.0.0.1",))).gateway == "10.0.0.2"
    for wrong in (
        SubnetSpec(subnet="10.0.0.0/24", gateway="10.0.1.1"),
        SubnetSpec(subnet="10.0.0.0/24", ip_range="10.1.0.0/25"),
        SubnetSpec(subnet="ten"),
    ):
        with pytest.raises(Unsupported):
            ipam.complete_subnet(wrong)


@given(st.integers(16, 30), st.data())
def test_chosen_addresses_are_usable_and_distinct(length, data):
    subnet = ipam.complete_subnet(SubnetSpec(subnet=f"10.0.0.0/{length}"))
    room = min(2 ** (32 - length) - 3, 20)
    leased: set[str] = set()
    for _ in range(data.draw(st.integers(0, room))):
        address = ipam.choose_address(subnet, leased)
        assert address not in leased
        network = ip_network(subnet.subnet)
        assert ip_address(address) in network
        assert address not in (subnet.gateway, str(network.network_address), str(network.broadcast_address))
        leased.add(address)


def test_macs_are_local_unicast_and_stable():
    mac = ipam.mac_for("172.18.0.2")
    assert mac == ipam.mac_for("172.18.0.2") != ipam.mac_for("172.18.0.3")
    assert int(mac[:2], 16) & 3 == 2


def test_interfaces_by_priority_then_name():
    ends = [
        EndpointSpec(network=n, priority=p, interface=i) for n, p, i in (("b", 0, None), ("a", 0, None), ("z", 5, None), ("c", 0, "eth1"))
    ]
    assert ipam.interface_names(ends) == {"z": "eth0", "a": "eth2", "b": "eth3", "c": "eth1"}
    assert ipam.interface_names(ends[:1], used=["lo", "eth0"]) == {"b": "eth1"}
    assert ipam.interface_names([EndpointSpec(network="n", driver_opts={"com.docker.network.endpoint.ifname": "wan0"})]) == {"n": "wan0"}


def test_gateway_by_gw_priority_then_name_never_internal():
    def wired(name, priority=0, internal=False, v6=False):
        subnets = (
            SubnetSpec(subnet="10.0.0.0/24", gateway="10.0.0.1"),
            *((SubnetSpec(subnet="fd00::/64", gateway="fd00::1"),) if v6 else ()),
        )
        end = EndpointSpec(network=name, ipv4="10.0.0.2", ipv6="fd00::2" if v6 else None, gw_priority=priority)
        return end, NetworkSpec(id=name, name=name, internal=internal, subnets=subnets)

    ends = [wired("b", v6=True), wired("a"), wired("i", 99, internal=True)]
    assert ipam.gateway_endpoint(ends, 4)[1].name == "a"
    assert ipam.gateway_endpoint(ends, 6)[1].name == "b"
    assert ipam.gateway_endpoint([*ends, wired("z", 1)], 4)[1].name == "z"
    assert ipam.gateway_endpoint(ends[2:], 4) is None
