from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from runtime.network import host
from runtime.spec import PortSpec


def test_ports_in_use_sees_listeners_and_bound_udp():
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.bind(("::1", 0))
        used = host.ports_in_use()
        assert ("tcp", "127.0.0.1", tcp.getsockname()[1]) in used
        assert ("udp", "::1", udp.getsockname()[1]) in used
        with socket.create_connection(tcp.getsockname()) as client:
            assert ("tcp", "127.0.0.1", client.getsockname()[1]) not in host.ports_in_use()  # a connection owns no port


def test_shown():
    assert host.shown(PortSpec(container_port=80, host_port=8080)) == "0.0.0.0:8080"
    assert host.shown(PortSpec(container_port=80, host_port=8080, host_ip="::1", protocol="udp")) == "[::1]:8080"


ROUTES = """
import subprocess, sys
from runtime.network import host
def ip(*a): subprocess.run(["ip", *a], check=True)
ip("link", "set", "lo", "up")
assert (host.routes_in_use(), host.uplink(), host.uplink_mtu()) == ((), None, 1500), host.routes_in_use()
for name, mtu in (("one", "1400"), ("two", "9000")):
    ip("link", "add", name, "mtu", mtu, "type", "veth", "peer", "name", name + "-peer"); ip("link", "set", name, "up")
ip("address", "add", "10.1.2.3/24", "dev", "one"); ip("-6", "address", "add", "2001:db8::1/64", "dev", "two")
ip("route", "add", "172.20.0.0/14", "via", "10.1.2.1")
ip("route", "add", "default", "via", "10.1.2.1", "metric", "50")
ip("route", "add", "default", "dev", "two", "metric", "5")
assert set(host.routes_in_use()) >= {"10.1.2.0/24", "172.20.0.0/14", "2001:db8::/64"}, host.routes_in_use()
assert not any(r.startswith(("0.", "::", "fe80", "ff", "127.")) for r in host.routes_in_use())
assert (host.uplink(), host.uplink_mtu()) == ("two", 9000)
ip("route", "delete", "default", "dev", "two")
assert (host.uplink(), host.uplink_mtu()) == ("one", 1400)
assert host.link_mtu("none") is None and not host.link_exists("none") and host.link_exists("two")
ip("route", "delete", "default"); ip("-6", "route", "add", "default", "via", "2001:db8::2", "dev", "two")
assert host.uplink() == "two"
"""


@pytest.mark.root
def test_routes_and_uplink_of_a_namespace():
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", ROUTES], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
