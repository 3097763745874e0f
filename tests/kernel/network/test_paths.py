"""Which packets arrive: published ports from everywhere, outbound traffic, isolation, internal networks, enable_icc=false."""

from __future__ import annotations

import socket

import anyio
import pytest

from runtime.errors import Conflict, Unsupported
from runtime.network.client import Link, Networker
from runtime.network.ipam import gateway_of

pytestmark = pytest.mark.root

HOST_V4, OUTSIDE_V4 = "198.51.100.1", "198.51.100.2"
HOST_V6, OUTSIDE_V6 = "2001:db8:1::1", "2001:db8:1::2"
SHORT = 0.4  # seconds to wait for what must not arrive


def test_published_tcp_from_everywhere(lab, ports):
    async def main():
        async with Networker(lab.paths) as networker:
            net, other = lab.network("a"), lab.network("b", "172.29.0.0/16")
            web, friend, stranger = lab.box(net), lab.box(net), lab.box(other)
            await lab.attach(networker, web, friend, stranger)
            await networker.publish(web.id, ports((80, 8080)), web.target)
            server = lab.listen(web, 80)
            assert lab.reaches("outside", HOST_V4, 8080, server) == OUTSIDE_V4
            assert lab.reaches("", "127.0.0.1", 8080, server) == gateway_of(net, 4)
            assert lab.reaches("", "127.9.9.9", 8080, server) == gateway_of(net, 4)
            assert lab.reaches("", HOST_V4, 8080, server) == gateway_of(net, 4)
            assert lab.reaches(friend, HOST_V4, 8080, server) == gateway_of(net, 4)  # hairpin
            assert lab.reaches(web, HOST_V4, 8080, server) == gateway_of(net, 4)  # to itself
            assert lab.reaches(stranger, HOST_V4, 8080, server)
            assert lab.reaches(stranger, gateway_of(other, 4), 8080, server)
            assert lab.reaches(friend, web.ipv4, 80, server) == friend.ipv4
            await networker.unpublish(web.id)
            assert lab.reaches("outside", HOST_V4, 8080, server, wait=SHORT) is None
            assert lab.reaches("", "127.0.0.1", 8080, server, wait=SHORT) is None

    anyio.run(main)


def test_published_on_one_address_only(lab, ports):
    async def main():
        async with Networker(lab.paths) as networker:
            web = lab.box(lab.network("a"))
            await lab.attach(networker, web)
            await networker.publish(web.id, [*ports((80, 8080), host_ip="127.0.0.1"), *ports((80, 8081), host_ip=HOST_V4)], web.target)
            server = lab.listen(web, 80)
            assert lab.reaches("", "127.0.0.1", 8080, server)
            assert lab.reaches("outside", HOST_V4, 8080, server, wait=SHORT) is None
            assert lab.reaches("outside", HOST_V4, 8081, server)
            assert lab.reaches("", "127.0.0.1", 8081, server, wait=SHORT) is None

    anyio.run(main)


def test_published_udp_and_ranges(lab, ports):
    async def main():
        async with Networker(lab.paths) as networker:
            box = lab.box(lab.network("a"))
            await lab.attach(networker, box)
            wanted = [*ports((53, 5353), protocol="udp"), *ports(*((7000 + i, 9000 + i) for i in range(20)))]
            await networker.publish(box.id, wanted, box.target)
            udp = lab.listen(box, 53, udp=True)
            assert lab.reaches("outside", HOST_V4, 5353, udp) == OUTSIDE_V4
            assert lab.reaches("", "127.0.0.1", 5353, udp)
            for i in (0, 7, 19):
                assert lab.reaches("outside", HOST_V4, 9000 + i, lab.listen(box, 7000 + i))
            assert lab.reaches("outside", HOST_V4, 9020, lab.listen(box, 7020), wait=SHORT) is None

    anyio.run(main)


def test_a_udp_sender_that_never_pauses_is_led_to_the_new_container(lab, ports):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            old, new = lab.box(net), lab.box(net)
            await lab.attach(networker, old, new)
            first, second = lab.listen(old, 514, udp=True), lab.listen(new, 514, udp=True)
            with lab.at("outside"):
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sender:
                sender.connect((HOST_V4, 514))
                sender.send(b"nobody")
                await networker.publish(old.id, ports((514, 514), protocol="udp"), old.target)
                _send(sender, b"one")
                assert first.recv(16) == b"one"
                await networker.unpublish(old.id)
                await networker.publish(new.id, ports((514, 514), protocol="udp"), new.target)
                _send(sender, b"two")
                assert second.recv(16) == b"two"

    anyio.run(main)


def _send(sender, data):
    try:
        sender.send(data)
    except ConnectionRefusedError:  # the ICMP answer to an earlier datagram
        sender.send(data)


def test_published_ipv6(lab, ports):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a", "172.28.0.0/16", "fd00:28::/64")
            web, friend = lab.box(net), lab.box(net)
            await lab.attach(networker, web, friend)
            await networker.publish(web.id, [*ports((80, 8080)), *ports((80, 8081), host_ip=HOST_V6)], web.target)
            server = lab.listen(web, 80)
            assert lab.reaches("outside", HOST_V6, 8080, server) == OUTSIDE_V6
            assert lab.reaches("", HOST_V6, 8080, server) == gateway_of(net, 6)
            with pytest.raises(ConnectionRefusedError):  # at once, so that clients go on to 127.0.0.1
                socket.create_connection(("::1", 8080), timeout=1)
            assert lab.reaches(friend, HOST_V6, 8080, server) == gateway_of(net, 6)
            assert lab.reaches("outside", HOST_V6, 8081, server) == OUTSIDE_V6
            assert lab.reaches("outside", HOST_V4, 8081, server, wait=SHORT) is None
            assert lab.reaches(friend, web.ipv6, 80, server) == friend.ipv6

    anyio.run(main)


def test_outbound_is_masqueraded_unless_switched_off(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            plain = lab.box(lab.network("a", "172.28.0.0/16", "fd00:28::/64"))
            routed = lab.box(lab.network("b", "172.29.0.0/16", masquerade=False))
            await lab.attach(networker, plain, routed)
            server = lab.listen("outside", 80)
            assert lab.reaches(plain, OUTSIDE_V4, 80, server) == HOST_V4
            assert lab.reaches(plain, OUTSIDE_V6, 80, server) == HOST_V6
            lab.run("outside", "ip", "route", "add", "172.29.0.0/16", "via", HOST_V4)
            assert lab.reaches(routed, OUTSIDE_V4, 80, server) == routed.ipv4

    anyio.run(main)


def test_networks_are_islands(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            one, other = lab.box(lab.network("a")), lab.box(lab.network("b", "172.29.0.0/16"))
            await lab.attach(networker, one, other)
            server = lab.listen(other, 80)
            assert lab.reaches(one, other.ipv4, 80, server, wait=SHORT) is None
            lab.run("outside", "ip", "route", "add", "172.29.0.0/16", "via", HOST_V4)
            assert lab.reaches("outside", other.ipv4, 80, server, wait=SHORT) is None  # unpublished: not by knowing the address either
            assert lab.reaches("", other.ipv4, 80, server)  # the host may

    anyio.run(main)


def test_internal_network(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a", internal=True)
            one, two, outer = lab.box(net), lab.box(net), lab.box(lab.network("b", "172.29.0.0/16"))
            await lab.attach(networker, one, two, outer)
            assert lab.reaches(one, two.ipv4, 80, lab.listen(two, 80)) == one.ipv4
            assert lab.ip(one, "route", "show", "default") == []
            lab.run(one, "ip", "route", "add", "default", "via", gateway_of(net, 4))  # even with a route of its own making
            assert lab.reaches(one, OUTSIDE_V4, 81, lab.listen("outside", 81), wait=SHORT) is None
            assert lab.reaches(one, outer.ipv4, 82, lab.listen(outer, 82), wait=SHORT) is None
            assert lab.reaches(one, gateway_of(net, 4), 53, lab.listen("", 53))  # DNS on the gateway
            with pytest.raises(Unsupported, match="no network that leads outside"):
                await networker.publish(one.id, [_port()], one.target)

    anyio.run(main)


def test_icc_false_lets_only_links_through(lab, ports):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a", "172.28.0.0/16", "fd00:28::/64", icc=False)
            web, db, other = lab.box(net), lab.box(net), lab.box(net)
            await lab.attach(networker, web, db, other)
            server, second = lab.listen(db, 5432), lab.listen(db, 22)
            for address in (db.ipv4, db.ipv6):
                assert lab.reaches(web, address, 5432, server, wait=SHORT) is None
            await networker.allow(web.id, [Link(web.ipv4, db.ipv4, "tcp", 5432), Link(web.ipv6, db.ipv6, "tcp", 5432)])
            for address in (db.ipv4, db.ipv6):
                assert lab.reaches(web, address, 5432, server)
                assert lab.reaches(web, address, 22, second, wait=SHORT) is None
                assert lab.reaches(other, address, 5432, server, wait=SHORT) is None
            assert lab.reaches(web, gateway_of(net, 4), 53, lab.listen("", 53))
            await networker.publish(db.id, ports((5432, 6432)), db.target)
            assert lab.reaches("outside", HOST_V4, 6432, server) == OUTSIDE_V4
            await networker.remove_container(web.id)
            assert "172.28.0.2" not in lab.run("", "nft", "list", "ruleset")

    anyio.run(main)


def test_gateway_is_no_resolver_for_outsiders(lab):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            box = lab.box(net)
            await lab.attach(networker, box)
            server = lab.listen("", 53)
            lab.run("outside", "ip", "route", "add", "172.28.0.0/16", "via", HOST_V4)
            assert lab.reaches(box, gateway_of(net, 4), 53, server) == box.ipv4
            assert lab.reaches("outside", gateway_of(net, 4), 53, server, wait=SHORT) is None

    anyio.run(main)


def test_port_conflicts(lab, ports):
    async def main():
        async with Networker(lab.paths) as networker:
            net = lab.network("a")
            one, two = lab.box(net), lab.box(net)
            await lab.attach(networker, one, two)
            await networker.publish(one.id, ports((80, 8080)), one.target)
            await networker.publish(one.id, ports((80, 8080)), one.target)  # again is nothing
            with pytest.raises(Conflict, match="port is already allocated"):
                await networker.publish(two.id, ports((80, 8080)), two.target)
            with pytest.raises(Conflict, match="port is already allocated"):
                await networker.publish(two.id, ports((80, 8080), host_ip="127.0.0.1"), two.target)
            with pytest.raises(Conflict, match="port is already allocated"):
                await networker.publish(two.id, ports((80, 8089), (80, 8080)), two.target)
            await networker.publish(two.id, ports((80, 8089)), two.target)  # nothing of the refused ones stayed
            await networker.unpublish(one.id)
            await networker.publish(two.id, ports((80, 8080)), two.target)
            assert lab.reaches("outside", HOST_V4, 8080, lab.listen(two, 80))

    anyio.run(main)


def _port():
    from runtime.spec import PortSpec

    return PortSpec(container_port=80, host_port=8080)
