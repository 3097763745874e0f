"""What networks, ports and links put into the firewall, without a kernel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import Conflict, Unsupported
from runtime.network import ruleset
from runtime.network.elements import Element, Link, Place, Target, add_network, allow, bridges, difference, publish, remove_owner, unpublish
from runtime.spec import NetworkSpec, PortSpec, SubnetSpec

NET = NetworkSpec(
    id="n1", name="a", bridge="br-a", subnets=(SubnetSpec(subnet="10.0.0.0/24", gateway="10.0.0.1"), SubnetSpec(subnet="fd00::/64"))
)
TARGET = Target("10.0.0.2", "fd00::2", "br-a")


def done(*changes, start=()):
    elements = dict(start)
    for change in changes:
        change(elements)
    return elements


def keys(elements, name):
    return sorted(" ".join(p.key) for p in elements if p.name == name)


def port(host_port=8080, host_ip="", protocol="tcp", container_port=80):
    return PortSpec(container_port=container_port, host_port=host_port, host_ip=host_ip, protocol=protocol)


def test_network():
    elements = done(add_network(NET))
    assert bridges(elements) == {"br-a"}
    assert keys(elements, "masquerade4") == ["10.0.0.0/24"]
    internal = done(add_network(NetworkSpec(id="n", name="i", bridge="br-i", internal=True, icc=False, subnets=NET.subnets)))
    assert keys(internal, "masquerade4") == []
    assert keys(internal, "internal") == keys(internal, "no_icc") == ["br-i"]
    assert done(remove_owner("n1"), start=elements) == {}


@pytest.mark.parametrize(
    ("host_ip", "sets"),
    [
        ("", {"ports4": ["tcp 8080"], "ports6": ["tcp 8080"]}),
        ("0.0.0.0", {"ports4": ["tcp 8080"]}),
        ("::", {"ports6": ["tcp 8080"]}),
        ("127.0.0.1", {"ports_at4": ["127.0.0.1 tcp 8080"]}),
        ("2001:DB8::1", {"ports_at6": ["2001:db8::1 tcp 8080"]}),
    ],
)
def test_publish_by_host_address(host_ip, sets):
    elements = done(publish("c1", [port(host_ip=host_ip)], TARGET))
    assert {n: keys(elements, n) for n in ("ports4", "ports6", "ports_at4", "ports_at6") if keys(elements, n)} == sets


def test_host_binding_is_the_default_address():
    elements = done(publish("c1", [port(), port(8081, "0.0.0.0")], Target("10.0.0.2", None, "br-a", "127.0.0.1")))
    assert keys(elements, "ports_at4") == ["127.0.0.1 tcp 8080"]
    assert keys(elements, "ports4") == ["tcp 8081"]


def test_conflicts_and_what_is_none():
    start = done(publish("c1", [port()], TARGET))
    for wrong in (port(), port(host_ip="127.0.0.1"), port(host_ip="::1")):
        with pytest.raises(Conflict, match="port is already allocated"):
            done(publish("c2", [wrong], TARGET), start=start)
    done(publish("c2", [port(protocol="udp"), port(8081)], TARGET), start=start)
    narrow = done(publish("c1", [port(host_ip="127.0.0.1")], TARGET))
    done(publish("c2", [port(host_ip="127.0.0.2")], TARGET), start=narrow)
    with pytest.raises(Conflict):
        done(publish("c2", [port()], TARGET), start=narrow)
    with pytest.raises(Unsupported):
        done(publish("c2", [port()], Target()))


def test_publishing_again_replaces():
    start = done(publish("c1", [port()], TARGET))
    moved = done(publish("c1", [port(), port(9090)], Target("10.0.0.9")), start=start)
    assert moved[Place("inet", "ports4", ("tcp", "8080"))] == Element("c1", ("10.0.0.9", "80"))
    assert keys(moved, "ports6") == []


def test_owners_do_not_touch_each_other():
    elements = done(add_network(NET), publish("c1", [port()], TARGET), publish("c2", [port(8081)], TARGET))
    allow("c1", [Link("10.0.0.2", "10.0.0.3", "tcp", 80)])(elements)
    assert keys(done(unpublish("c1"), start=elements), "ports4") == ["tcp 8081"]
    assert keys(done(unpublish("c1"), start=elements), "links4") == ["10.0.0.2 10.0.0.3 tcp 80"] * 2
    left = done(remove_owner("c1"), remove_owner("c2"), start=elements)
    assert left == done(add_network(NET))


places = st.builds(Place, st.just("inet"), st.sampled_from(["ports4", "bridges"]), st.tuples(st.sampled_from("abcd")))
elements_of = st.dictionaries(places, st.builds(Element, st.sampled_from(["x", "y"]), st.tuples(st.sampled_from("pq"))))


@given(elements_of, elements_of)
def test_difference_leads_from_before_to_after(before, after):
    gone, new = difference(before, after)
    state = dict(before)
    for place, element in gone:
        assert state.pop(place) == element
    for place, element in new:
        assert place not in state
        state[place] = element
    assert state == after


def test_instances_have_tables_of_their_own():
    assert ruleset.table_name("/run/pycompose") == "pycompose"
    assert ruleset.table_name("/tmp/x") != ruleset.table_name("/tmp/y")
    text = ruleset.creation("inet", "mine")
    assert " T " not in text
    assert text.splitlines()[0] == "add table inet mine"
