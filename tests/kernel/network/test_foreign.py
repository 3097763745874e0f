"""Beside firewalls that drop what they do not know, as Docker's and ufw's do; the same by libnftables and by the nft program."""

from __future__ import annotations

import shutil

import anyio
import pytest

from runtime.native import nftables
from runtime.network.client import Networker
from runtime.network.elements import Target, add_network, publish, remove_owner
from runtime.network.firewall import Firewall

pytestmark = pytest.mark.root

HOST_V4, HOST_V6 = "198.51.100.1", "2001:db8:1::1"
DOCKER = """
table {family} filter {{
    chain INPUT {{ type filter hook input priority filter; policy accept; }}
    chain FORWARD {{ type filter hook forward priority filter; policy drop; iifname "docker0" counter accept; }}
    chain DOCKER-USER {{ counter return; }}
}}
"""
UFW = """
table {family} filter {{
    chain FORWARD {{ type filter hook forward priority filter; policy drop; }}
    chain ufw-before-forward {{ ct state established,related accept; }}
}}
"""


def _load(lab, text):
    nft = nftables.Nftables()
    for family in ("ip", "ip6"):
        nft.run(text.format(family=family))
        if "DOCKER-USER" in text:
            nft.run(f"insert rule {family} filter FORWARD counter jump DOCKER-USER")
    return lab.run("", "nft", "list", "ruleset")


@pytest.mark.parametrize("text", [DOCKER, UFW], ids=["docker", "ufw"])
def test_forward_policy_drop(lab, ports, text):
    async def main():
        before = _load(lab, text)
        async with Networker(lab.paths) as networker:
            net, other = lab.network("a", "172.28.0.0/16", "fd00:28::/64"), lab.network("b", "172.29.0.0/16")
            one, two, three = lab.box(net), lab.box(net), lab.box(other)
            await lab.attach(networker, one, two, three)
            await networker.publish(one.id, ports((80, 8080)), one.target)
            server = lab.listen(one, 80)
            assert lab.reaches("outside", HOST_V4, 8080, server)
            assert lab.reaches("outside", HOST_V6, 8080, server)
            assert lab.reaches(two, one.ipv4, 80, server) == two.ipv4
            assert lab.reaches(two, HOST_V4, 8080, server)
            assert lab.reaches(one, "198.51.100.2", 81, lab.listen("outside", 81))
            assert lab.reaches(three, one.ipv4, 80, server, wait=0.4) is None
            lab.run("outside", "ip", "route", "add", "172.28.0.0/16", "via", HOST_V4)
            assert lab.reaches("outside", one.ipv4, 80, server, wait=0.4) is None
            rules = lab.run("", "nft", "list", "ruleset")
            assert rules.count(f'iifname "{net.bridge}" counter packets') == 2  # ip and ip6, once each
            await networker.create_network(net)
            for box in (one, two, three):
                await networker.remove_container(box.id)
            for network in (net, other):
                await networker.remove_network(network)
        assert _without_counters(lab.run("", "nft", "list", "ruleset")) == _without_counters(before)

    anyio.run(main)


def test_docker_arriving_later_is_noticed_by_the_next_change(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            one, two = lab.box(net), lab.box(net)
            await lab.attach(networker, one)
            _load(lab, DOCKER)
            await networker.create_network(net)
            await lab.attach(networker, two)
            assert lab.reaches(two, one.ipv4, 80, lab.listen(one, 80)) == two.ipv4

    anyio.run(main)


def test_legacy_iptables_with_policy_drop(lab, ports):
    """The x_tables of old, which nftables does not see."""
    program = shutil.which("iptables-legacy", path="/usr/sbin:/sbin:/usr/bin")
    assert program, "apt-get install iptables: the tests need iptables-legacy"

    async def main():
        lab.run("", program, "-P", "FORWARD", "DROP")
        before = lab.run("", program, "-S")
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            one, two = lab.box(net), lab.box(net)
            await lab.attach(networker, one, two)
            await networker.publish(one.id, ports((80, 8080)), one.target)
            server = lab.listen(one, 80)
            assert lab.reaches("outside", HOST_V4, 8080, server)
            assert lab.reaches(two, one.ipv4, 80, server)
            for box in (one, two):
                await networker.remove_container(box.id)
            await networker.remove_network(net)
        assert lab.run("", program, "-S") == before

    anyio.run(main)


def test_by_the_nft_program(lab, ports, monkeypatch):
    monkeypatch.setattr(nftables, "load", lambda: None)
    firewall = Firewall(lab.paths.run)
    net = lab.network("a", "172.28.0.0/16", "fd00:28::/64")
    assert firewall.apply([add_network(net), publish("c" * 64, ports((80, 8080)), Target("172.28.0.2", "fd00:28::2", net.bridge))]) == [
        None,
        None,
    ]
    assert "tcp . 8080" in lab.run("", "nft", "list", "ruleset")
    assert len(firewall.elements()) == 8
    with pytest.raises(nftables.NftablesError, match=r"nftables: .*No such file"):
        firewall._nft.run("delete table inet nothing_of_that_name")
    assert firewall.apply([remove_owner("c" * 64), remove_owner(net.id)]) == [None, None]
    assert lab.run("", "nft", "list", "ruleset") == ""


def _without_counters(rules):
    return [line.split("counter")[0].strip() for line in rules.splitlines() if line.strip()]


def test_iptables_shows_our_rules_as_its_own(lab):
    """A rule that iptables-nft cannot read would make Docker's next call fail."""
    program = shutil.which("iptables-nft", path="/usr/sbin:/sbin:/usr/bin")
    assert program, "apt-get install iptables: the tests need iptables-nft"

    async def main():
        for command in ("-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-A FORWARD -j DOCKER-USER"):
            lab.run("", program, *command.split())
        before = lab.run("", program, "-S")
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            await networker.create_network(net)
            shown = lab.run("", program, "-S")
            assert f"-A DOCKER-USER -i {net.bridge} -j ACCEPT" in shown
            assert f"-A DOCKER-USER -o {net.bridge} -j ACCEPT" in shown
            lab.run("", program, "-I", "DOCKER-USER", "-i", "eth9", "-j", "DROP")
            lab.run("", program, "-D", "DOCKER-USER", "-i", "eth9", "-j", "DROP")
            await networker.remove_network(net)
        assert lab.run("", program, "-S") == before

    anyio.run(main)
