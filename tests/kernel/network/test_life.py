"""What networks and interfaces look like, that everything may be done twice, undone in any state, and that nothing is left."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from runtime.errors import Conflict, RuntimeFailure, Unsupported
from runtime.network import pins
from runtime.network.client import Networker
from runtime.network.ipam import bridge_name, gateway_of
from runtime.store import Paths
from tests.kernel.network.conftest import pin_empty

pytestmark = pytest.mark.root


def test_interface_as_asked_for(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a", "172.28.0.0/16", "fd00:28::/64")
            box = lab.box(lab.endpoint(net, mac="02-42-AC-1c-00-09", interface="lan", link_local_ips=("169.254.8.8",)))
            await lab.attach(networker, box, **{"net.ipv4.ip_forward": "1", "net.ipv4.conf.lan.log_martians": "1"})
            assert box.names == {"a": "lan"}
            [link] = [one for one in lab.ip(box, "address") if one["ifname"] == "lan"]
            assert (link["address"], link["mtu"]) == ("02:42:ac:1c:00:09", 1400)  # the uplink's MTU
            found = {(a["local"], a["prefixlen"]) for a in link["addr_info"]}
            assert {("172.28.0.2", 16), ("fd00:28::2", 64), ("169.254.8.8", 16)} <= found
            assert not [a for a in link["addr_info"] if a.get("tentative")]
            assert [r["gateway"] for r in lab.ip(box, "route", "show", "default")] == ["172.28.0.1"]
            assert [r["gateway"] for r in lab.ip(box, "-6", "route", "show", "default")] == ["fd00:28::1"]
            with lab.at(box):
                values = [
                    Path(f"/proc/sys/net/ipv4/{n}").read_text().strip()
                    for n in ("ip_forward", "ip_unprivileged_port_start", "conf/lan/log_martians")
                ]
            assert values == ["1", "0", "1"]
            [bridge] = [one for one in lab.ip("", "-d", "link") if one["ifname"] == net.bridge]
            assert bridge["mtu"] == 1400

    anyio.run(main)


def test_no_network_is_lo_alone(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            box = lab.box()
            await lab.attach(networker, box)
            assert [(one["ifname"], "UP" in one["flags"]) for one in lab.ip(box, "link")] == [("lo", True)]
            assert lab.reaches(box, "127.0.0.1", 80, lab.listen(box, 80))

    anyio.run(main)


def test_several_networks_order_and_default_route(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            nets = [lab.network(n, f"172.{20 + i}.0.0/16") for i, n in enumerate("abc")]
            inner = lab.network("inner", "172.27.0.0/16", internal=True)
            wired = [
                lab.endpoint(nets[0]),
                lab.endpoint(nets[1], gw_priority=5),
                lab.endpoint(nets[2], priority=9),
                lab.endpoint(inner, gw_priority=99),
            ]
            box = lab.box(*wired)
            await lab.attach(networker, box)
            assert box.names == {"c": "eth0", "a": "eth1", "b": "eth2", "inner": "eth3"}
            assert [r["gateway"] for r in lab.ip(box, "route", "show", "default")] == [gateway_of(nets[1], 4)]
            await networker.detach(box.id, "b")
            await networker.detach(box.id, "b")
            box.wired = [w for w in box.wired if w[0].network != "b"]
            await lab.attach(networker, box)
            assert box.names == {"c": "eth0", "a": "eth1", "inner": "eth3"}
            assert [r["gateway"] for r in lab.ip(box, "route", "show", "default")] == [gateway_of(nets[0], 4)]
            late = lab.endpoint(lab.network("late", "172.26.0.0/16"))
            box.wired.append(late)
            await lab.attach(networker, box)  # connected while it runs
            assert box.names["late"] == "eth2"
            assert lab.reaches(box, gateway_of(late[1], 4), 99, lab.listen("", 99)) == late[0].ipv4

    anyio.run(main)


def test_everything_twice_and_after_a_reboot(lab, ports):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a", "172.28.0.0/16", "fd00:28::/64")
            box = lab.box(net)
            assert await networker.create_network(net)  # switched forwarding on in this fresh namespace
            assert await networker.create_network(net) == ()
            await lab.attach(networker, box)
            before = (_addresses(lab, box), lab.ip(box, "route"))
            await lab.attach(networker, box)
            assert (_addresses(lab, box), lab.ip(box, "route")) == before
            await networker.publish(box.id, ports((80, 8080)), box.target)
        lab.run("", "ip", "link", "delete", net.bridge)  # half a reboot: what is missing is made again, what is there is used
        lab.run("", "nft", "flush", "ruleset")
        async with Networker(lab.paths) as networker:
            await lab.attach(networker, box)
            await networker.publish(box.id, ports((80, 8080)), box.target)
            assert lab.reaches("outside", "198.51.100.1", 8080, lab.listen(box, 80))
        pins.unpin(box.path)
        async with Networker(lab.paths) as networker:
            await lab.attach(networker, box)
            assert lab.reaches("outside", "198.51.100.1", 8080, lab.listen(box, 80))

    anyio.run(main)


def _addresses(lab, box):
    return {(one["ifname"], one["address"], a["local"]) for one in lab.ip(box, "address") for a in one["addr_info"]}


def test_a_crash_between_steps_is_completed(lab):
    async def main():
        net = lab.network("a")
        boxes = [lab.box(net), lab.box(net), lab.box(net)]
        os.makedirs(f"{lab.paths.run}/netns")
        Path(boxes[0].path).touch()  # the file without its mount
        pin_empty(boxes[1].path)  # the namespace without interfaces
        async with Networker(lab.paths) as networker:
            await lab.attach(networker, boxes[2])
            lab.run(boxes[2], "ip", "address", "flush", "dev", "eth0")  # the interface without address
            await lab.attach(networker, *boxes)
            server = lab.listen(boxes[0], 80)
            assert [lab.reaches(b, boxes[0].ipv4, 80, server) for b in boxes[1:]] == [b.ipv4 for b in boxes[1:]]

    anyio.run(main)


def test_removal_leaves_nothing(lab, ports):
    async def main():
        links = lab.run("", "ip", "-br", "link")
        async with Networker(lab.paths) as networker:
            nets = [lab.network("a", "172.28.0.0/16", "fd00:28::/64", icc=False), lab.network("b", "172.29.0.0/16", internal=True)]
            boxes = [lab.box(*nets) for _ in range(5)]
            os.makedirs(f"{lab.paths.run}/names/a")
            await lab.attach(networker, *boxes)
            for i, box in enumerate(boxes):
                await networker.publish(box.id, ports((80, 8000 + i)), box.target)
            async with anyio.create_task_group() as group:
                for box in boxes:
                    group.start_soon(networker.remove_container, box.id)
            async with anyio.create_task_group() as group:
                for net in nets:
                    group.start_soon(networker.remove_network, net)
            for box in boxes:
                await networker.remove_container(box.id)
            await networker.remove_network(nets[0])
        assert lab.run("", "nft", "list", "ruleset") == ""
        assert os.listdir(f"{lab.paths.run}/netns") == os.listdir(f"{lab.paths.run}/names") == []
        assert lab.run("", "ip", "-br", "link").split() == links.split()

    anyio.run(main)


def test_failures_are_each_containers_own(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            good = lab.box(net)
            wrong = [
                (lab.box(lab.endpoint(net, mac="zz")), Unsupported, "is not a MAC address"),
                (lab.box(lab.endpoint(net, ipv4="10.0.0.1")), Unsupported, "is in no subnet of network a"),
                (lab.box(lab.endpoint(net, interface="lo")), RuntimeFailure, "on network a"),
            ]
            seen = []

            async def one(box):
                try:
                    await lab.attach(networker, box)
                except* RuntimeFailure as group:
                    seen.append((box, group.exceptions[0]))

            async with anyio.create_task_group() as group:
                for box in (wrong[0][0], good, wrong[1][0], wrong[2][0]):
                    group.start_soon(one, box)
            failures = {b.id: e for b, e in seen}
            for box, kind, words in wrong:
                assert isinstance(failures[box.id], kind), failures[box.id]
                assert words in failures[box.id].message
                assert not os.path.exists(box.path)
            assert good.id not in failures
            assert len([one for one in lab.ip("", "link") if one["ifname"].startswith("veth")]) == 1
            with pytest.raises(Unsupported, match=r"sysctl net\.ipv4\.nonsense=1"):
                await networker.attach("f" * 64, lab.paths.netns("f" * 64), [], {"net.ipv4.nonsense": "1"})

    anyio.run(main)


def test_bridge_names_of_users(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            with pytest.raises(Conflict, match="is a veth link, not a bridge"):
                await networker.create_network(lab.network("a", bridge="uplink"))
            with pytest.raises(Unsupported, match="is no name for a bridge"):
                await networker.create_network(lab.network("a", bridge='x"; flush ruleset'))
            lab.run("", "ip", "link", "add", "mine", "type", "bridge")
            net = lab.network("b", bridge="mine", mtu=1300)
            box = lab.box(net)
            await lab.attach(networker, box)
            assert lab.reaches(box, gateway_of(net, 4), 80, lab.listen("", 80))
            await networker.remove_container(box.id)
            await networker.remove_network(net)
            assert "mine" in lab.run("", "ip", "-br", "link")  # it was there before us
            named = lab.network("c", bridge="shop.front", mtu=1280)
            await networker.create_network(named)
            assert [one["mtu"] for one in lab.ip("", "link", "show", "shop.front")] == [1280]
            await networker.remove_network(named)
            assert "shop.front" not in lab.run("", "ip", "-br", "link")

    anyio.run(main)


def test_two_instances_side_by_side(lab, ports, tmp_path):
    async def main():
        other = Paths(str(tmp_path / "root"), str(tmp_path / "run"))
        os.makedirs(other.run)
        one, two = lab.network("a"), replace(lab.network("a2", "172.29.0.0/16"), bridge=bridge_name("2" * 64), id="2" * 64)
        first, second = lab.box(one), lab.box(two)
        second.path = other.netns(second.id)
        async with Networker(lab.paths) as mine, Networker(other) as theirs:
            await lab.attach(mine, first)
            await lab.attach(theirs, second)
            await mine.publish(first.id, ports((80, 8080)), first.target)
            await theirs.publish(second.id, ports((80, 8081)), second.target)
            assert lab.reaches("outside", "198.51.100.1", 8080, lab.listen(first, 80))
            server = lab.listen(second, 80)
            assert lab.reaches("outside", "198.51.100.1", 8081, server)
            assert lab.reaches(first, second.ipv4, 81, lab.listen(second, 81), wait=0.4) is None
            await mine.remove_container(first.id)
            await mine.remove_network(one)
            assert lab.reaches("outside", "198.51.100.1", 8081, server)
            await theirs.remove_container(second.id)
            await theirs.remove_network(two)
        assert lab.run("", "nft", "list", "ruleset") == ""

    anyio.run(main)


def test_a_killed_worker_is_replaced(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            boxes = [lab.box(net) for _ in range(20)]
            await networker.create_network(net)
            pid = networker._pid
            async with anyio.create_task_group() as group:
                group.start_soon(lab.attach, networker, *boxes)
                await anyio.sleep(0.02)
                os.kill(pid, signal.SIGKILL)
            assert networker._pid != pid
            server = lab.listen(boxes[0], 80)
            assert all(lab.reaches(b, boxes[0].ipv4, 80, server) == b.ipv4 for b in boxes[1:])
            os.kill(networker._pid, signal.SIGKILL)
            with pytest.raises(RuntimeFailure, match="the network worker died"):
                await networker.create_network(lab.network("b", "172.29.0.0/16"))
            os.waitpid(pid, 0)

    anyio.run(main)


def test_calls_of_a_worker_that_is_killed_again_and_again_fail_and_later_ones_are_served(lab):
    async def caller(networker, failures):
        try:
            await networker.unpublish("0" * 64)
        except RuntimeFailure as failure:
            failures.append(failure)
            await networker.unpublish("0" * 64)  # what a caller does to undo what it began

    async def main():
        failures = []
        async with Networker(lab.paths) as networker:
            with anyio.fail_after(20):
                await networker.unpublish("0" * 64)
                for _ in range(2):
                    os.kill(networker._pid, signal.SIGSTOP)
                    async with anyio.create_task_group() as group:
                        for _ in range(4):
                            group.start_soon(caller, networker, failures)
                        await anyio.sleep(0.05)
                        os.kill(networker._pid, signal.SIGKILL)
        assert [str(f) for f in failures] == ["the network worker died"] * 4

    anyio.run(main)


def test_cancelled_calls_disturb_nobody(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            await networker.create_network(net)
            boxes = [lab.box(net) for _ in range(10)]
            with anyio.move_on_after(0.001):
                await lab.attach(networker, *boxes)
            await lab.attach(networker, *boxes)
            with anyio.move_on_after(0.0005):
                await lab.attach(networker, *boxes)
            for box in boxes:
                await networker.remove_container(box.id)
            await networker.remove_network(net)
        assert os.listdir(f"{lab.paths.run}/netns") == []

    anyio.run(main)


def test_callers_of_every_kind_all_get_their_answers(lab):
    """Some in step, some late, some cancelled while they wait or read for others."""
    chance = random.Random(7)

    async def caller(networker, number, done):
        await anyio.sleep(chance.random() * 0.3)
        with anyio.move_on_after(chance.choice([0.0005, 0.002, 0.01, 30])):
            await networker.unpublish(f"{number:064x}")
        await networker.unpublish(f"{number:064x}")
        done.append(number)

    async def main():
        done = []
        async with Networker(lab.paths) as networker:
            with anyio.fail_after(20):
                async with anyio.create_task_group() as group:
                    for number in range(400):
                        group.start_soon(caller, networker, number, done)
        assert sorted(done) == list(range(400))

    anyio.run(main)


def test_a_late_caller_reads_for_itself_when_the_others_are_answered(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            await networker.unpublish("0" * 64)
            for number in range(20):
                with anyio.fail_after(10):
                    async with anyio.create_task_group() as group:
                        group.start_soon(networker.create_network, lab.network(f"n{number}", f"10.{number}.0.0/16"))
                        group.start_soon(networker.unpublish, "1" * 64)
                        await anyio.sleep(0.002)  # the two are at work: this one comes in the next batch
                        group.start_soon(networker.unpublish, "2" * 64)

    anyio.run(main)


def test_fifty_at_once(lab, ports, capsys):
    async def main():
        async with Networker(lab.paths) as networker:
            marks = [time.perf_counter()]
            await networker.unpublish("nobody")
            marks.append(time.perf_counter())
            net = lab.network("a")
            boxes = [lab.box(net) for _ in range(50)]
            await networker.create_network(net)
            marks.append(time.perf_counter())
            await lab.attach(networker, *boxes)
            marks.append(time.perf_counter())
            async with anyio.create_task_group() as group:
                for i, box in enumerate(boxes):
                    group.start_soon(networker.publish, box.id, ports((80, 10000 + i)), box.target)
            marks.append(time.perf_counter())
            last = lab.listen(boxes[49], 80)
            assert lab.reaches(boxes[0], boxes[49].ipv4, 80, last) == boxes[0].ipv4
            assert lab.reaches("outside", "198.51.100.1", 10049, last)
            start = time.perf_counter()
            async with anyio.create_task_group() as group:
                for box in boxes:
                    group.start_soon(networker.remove_container, box.id)
            await networker.remove_network(net)
            took = [round((b - a) * 1000, 1) for a, b in pairwise(marks)]
            with capsys.disabled():
                print(f"\n50 containers, ms: worker ready {took[0]}, bridge {took[1]}, attach {took[2]}, publish {took[3]}, "
                      f"remove {(time.perf_counter() - start) * 1000:.1f}")  # fmt: skip
        assert lab.run("", "nft", "list", "ruleset") == ""

    anyio.run(main)


def test_names_of_links_do_not_collide():
    from runtime.network.ipam import veth_name

    names = {veth_name(f"{i:064x}", n) for i in range(2000) for n in ("a", "b")}
    assert len(names) == 4000
    assert all(len(n) == 15 and socket.if_nameindex for n in names)
