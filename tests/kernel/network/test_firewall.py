"""The firewall's table as a whole: several commands at once, an older version's rules, a refused transaction."""

from __future__ import annotations

import anyio
import pytest

from runtime.native.nftables import Nftables, NftablesError
from runtime.network import ruleset
from runtime.network.client import Networker
from runtime.network.elements import Element, Place, Target, add_network, publish, remove_owner, unpublish
from runtime.network.firewall import Firewall

pytestmark = pytest.mark.root


def test_commands_at_the_same_time(lab, ports):
    async def one(number: int):
        async with Networker(lab.paths) as networker:
            net = lab.network(f"n{number}", f"172.{20 + number}.0.0/16")
            box = lab.box(net)
            await lab.attach(networker, box)
            server = lab.listen(box, 80)
            for _ in range(3):
                await lab.attach(networker, box)
                await networker.publish(box.id, ports((80, 8000 + number)), box.target)
                assert lab.reaches("outside", "198.51.100.1", 8000 + number, server) == "198.51.100.2"
                await networker.unpublish(box.id)
            await networker.remove_container(box.id)
            await networker.remove_network(net)

    async def main():
        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(one, number)

    anyio.run(main)
    assert lab.run("", "nft", "list", "ruleset") == ""


def test_rules_of_another_version_are_replaced_and_elements_kept(lab, ports):
    firewall, net = Firewall(lab.paths.run), lab.network("a", icc=False)
    firewall.apply([add_network(net), publish("c" * 64, ports((80, 8080)), Target("172.28.0.2", None, net.bridge))])
    before, table = firewall.elements(), ruleset.table_name(lab.paths.run)
    nft = Nftables()
    nft.run(f"delete chain inet {table} {ruleset.version('inet')}\nadd chain inet {table} ruleset_of_old\nflush chain inet {table} publish")
    firewall.apply([publish("d" * 64, ports((80, 8081)), Target("172.28.0.3", None, net.bridge))])
    kept = firewall.elements()
    assert kept == before | {Place("inet", "ports4", ("tcp", "8081")): Element("d" * 64, ("172.28.0.3", "80"))}
    listed = lab.run("", "nft", "list", "ruleset")
    assert "ruleset_of_old" not in listed
    assert listed.count("@ports4") == 1
    firewall.apply([unpublish("c" * 64), remove_owner("d" * 64), remove_owner(net.id)])
    assert lab.run("", "nft", "list", "ruleset") == ""


def test_elements_read_back_as_they_were_written(lab, ports):
    firewall, net = Firewall(lab.paths.run), lab.network("a", "10.11.12.0/23", "fd00:1:2::/48", icc=False, internal=True)
    wanted = {}
    target = Target("10.11.12.2", "fd00:1:2::2", net.bridge)
    listed = [*ports((80, 8080)), *ports((53, 53), host_ip="127.0.0.1", protocol="udp"), *ports((9, 9), host_ip="::1", protocol="sctp")]
    changes = [add_network(net), publish("c" * 64, listed, target)]
    for change in changes:
        change(wanted)
    assert firewall.apply(changes) == [None, None]
    assert firewall.elements() == wanted


def test_a_refused_transaction_changes_nothing(lab):
    firewall = Firewall(lab.paths.run)
    firewall.apply([add_network(lab.network("a"))])
    before = lab.run("", "nft", "list", "ruleset")
    with pytest.raises(NftablesError, match=r"interval overlaps|File exists|conflicting"):
        firewall.apply([add_network(lab.network("b", "172.28.128.0/17"))])
    assert lab.run("", "nft", "list", "ruleset") == before
