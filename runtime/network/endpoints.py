"""Interfaces of containers: namespaces, veth pairs, addresses and routes of many containers in few system calls. In the network worker.

Three passes over a batch: make and pin the missing namespaces; create all veth pairs from the host's side in one send, each enslaved to its
bridge with its peer born inside the container under its final name; then, in each namespace, addresses and routes in one send.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from socket import if_nameindex, if_nametoindex

from runtime.errors import Conflict, RuntimeFailure, Unsupported
from runtime.network import messages, pins
from runtime.network.bridge import mtu_of, refusal
from runtime.network.host import link_exists, link_mtu
from runtime.network.ipam import (
    gateway_endpoint,
    gateway_of,
    interface_names,
    mac_for,
    ordered,
    prefix_length,
    subnet_of,
    veth_name,
    veth_prefix,
)
from runtime.network.netlink import Refused, RouteSocket
from runtime.record import dataclass
from runtime.spec import EndpointSpec, NetworkSpec

_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}")
_DYING_GROUP = 0x70000000  # | pid
_ENDPOINT_SYSCTLS = "com.docker.network.endpoint.sysctls"


@dataclass(slots=True, kw_only=True)
class Attachment:
    """One container's wish, and how far it has come. ``interfaces`` maps networks to names inside, once known."""

    container_id: str
    path: str
    endpoints: Sequence[tuple[EndpointSpec, NetworkSpec]]
    sysctls: Mapping[str, str] = field(default_factory=dict)
    fresh: int = -1  # the namespace made for this wish, until it is pinned
    failure: RuntimeFailure | None = None
    interfaces: dict[str, str] = field(default_factory=dict)

    @property
    def door(self) -> str:
        """Where the namespace can be entered."""
        return f"/proc/self/fd/{self.fresh}" if self.fresh >= 0 else self.path

    def veth(self, network: NetworkSpec) -> str:
        """The host's end."""
        return veth_name(self.container_id, network.name)


def attach(route: RouteSocket, attachments: Sequence[Attachment]) -> None:
    """Carry out all wishes; each one's ``failure`` says whether it came true.

    A namespace is pinned when it is complete: one of a wish that failed, or of a worker that was killed, is gone again.
    """
    for one in attachments:
        with _recorded(one):
            _pin(one)
    _create_veths(route, [a for a in attachments if not a.failure])
    for one in attachments:
        with _recorded(one):
            _configure(one)
            if one.fresh >= 0 and not one.failure:
                pins.pin(one.fresh, one.path)
        if one.fresh >= 0:
            os.close(one.fresh)


def detach(route: RouteSocket, container_id: str, network: str) -> None:
    """Delete the container's interface on a network; already gone is success."""
    try:
        index = if_nametoindex(veth_name(container_id, network))
    except OSError:
        return
    [refused] = route.run([messages.link(messages.DELLINK, 0, index=index)])
    if refused and refused.errno != errno.ENODEV:
        raise refusal(refused, f"interface on {network}")


def remove(route: RouteSocket, container_ids: Sequence[str]) -> None:
    """Delete all interfaces of these containers: put into one link group, since a group's deletion waits for the kernel once, not once per link."""
    prefixes = tuple(veth_prefix(c) for c in container_ids)
    indexes = [index for index, name in if_nameindex() if name.startswith(prefixes)]
    if indexes:
        group = messages.number(messages.IFLA_GROUP, _DYING_GROUP | os.getpid())
        route.run([messages.link(messages.NEWLINK, 0, group, index=index) for index in indexes])
        [refused] = route.run([messages.link(messages.DELLINK, 0, group)])
        if refused and refused.errno != errno.ENODEV:
            raise refusal(refused, "interfaces of removed containers")


@contextmanager
def _recorded(one: Attachment) -> Iterator[None]:
    """Turn what goes wrong for one container into its own failure, and skip the rest of its wish."""
    try:
        yield
    except RuntimeFailure as failure:
        one.failure = one.failure or failure
    except Refused as refused:
        one.failure = refusal(refused, f"network of container {one.container_id[:12]}")
    except OSError as error:
        one.failure = RuntimeFailure(f"network of container {one.container_id[:12]}: {error.strerror} {error.filename or ''}".rstrip())


def _pin(one: Attachment) -> None:
    for endpoint, network in one.endpoints:
        _mac(endpoint)
        _addresses(endpoint, network)
    if not pins.is_pinned(one.path):
        one.fresh = pins.new()
        one.interfaces = interface_names(e for e, _ in one.endpoints)
    elif one.endpoints:
        one.interfaces = _present_and_new(one)


def _present_and_new(one: Attachment) -> dict[str, str]:
    """Names of interfaces that exist (found by their peers' indexes) and names for those that do not yet."""
    hosts = {if_nametoindex(one.veth(n)): n.name for _, n in one.endpoints if link_exists(one.veth(n))}
    with pins.inside(one.path):
        route = RouteSocket()
        links = route.links()
        route.close()
    present = {hosts[a["IFLA_LINK"]]: name for _, name, a in links if a.get("IFLA_LINK") in hosts and "IFLA_LINK_NETNSID" in a}
    missing = [e for e, n in one.endpoints if n.name not in present]
    return present | interface_names(missing, [name for _, name, _ in links])


def _create_veths(route: RouteSocket, attachments: Sequence[Attachment]) -> None:
    wanted: list[bytes] = []
    owners: list[tuple[Attachment, NetworkSpec]] = []
    descriptors: list[int] = []
    bridged = _bridges_are_filtered()
    _delete_dying(route, [one.veth(n) for one in attachments if one.fresh >= 0 for _, n in one.endpoints])
    try:
        for one in attachments:
            with _recorded(one):
                descriptors.append(os.open(one.door, os.O_RDONLY | os.O_CLOEXEC))
                for endpoint, network in one.endpoints:
                    pair = [_veth_message(one, endpoint, network, descriptors[-1])]
                    pair += [_hairpin_message(one.veth(network))] if bridged else []
                    wanted += pair
                    owners += [(one, network)] * len(pair)
        for (one, network), refused in zip(owners, route.run(wanted), strict=True):
            if refused and not one.failure:
                one.failure = refusal(refused, f"interface of container {one.container_id[:12]} on network {network.name}")
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _delete_dying(route: RouteSocket, names: Sequence[str]) -> None:
    """Host ends whose namespace was let go a moment ago: the kernel takes them away later, and their names are wanted now."""
    wanted = [messages.link(messages.DELLINK, 0, messages.text(messages.IFLA_IFNAME, name)) for name in names if link_exists(name)]
    for refused in route.run(wanted):
        if refused and refused.errno != errno.ENODEV:
            raise refused


def _veth_message(one: Attachment, endpoint: EndpointSpec, network: NetworkSpec, namespace: int) -> bytes:
    master = messages.number(messages.IFLA_MASTER, _index(network.bridge, network))
    name = one.veth(network)
    if one.fresh < 0 and link_exists(name):
        return messages.link(messages.NEWLINK, 0, master, index=if_nametoindex(name), up=True)
    mtu = messages.number(messages.IFLA_MTU, link_mtu(network.bridge) or mtu_of(network))
    peer = (
        messages.text(messages.IFLA_IFNAME, one.interfaces[network.name])
        + messages.hardware_address(_mac(endpoint))
        + mtu
        + messages.number(messages.IFLA_NET_NS_FD, namespace)
    )
    attributes = messages.text(messages.IFLA_IFNAME, name) + mtu + master + messages.kind_of_link("veth", messages.veth_peer(peer))
    return messages.link(messages.NEWLINK, messages.CREATE | messages.EXCL, attributes, up=True)


def _bridges_are_filtered() -> bool:
    """Whether bridged frames pass the IP firewall (br_netfilter, which Docker and Kubernetes switch on)."""
    try:
        with open("/proc/sys/net/bridge/bridge-nf-call-iptables") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def _hairpin_message(name: str) -> bytes:
    """Let the port send back what came in by it: br_netfilter bridges a container's connection to its own published port, instead of routing it."""
    return messages.link(messages.NEWLINK, 0, messages.text(messages.IFLA_IFNAME, name) + messages.hairpin())


def _configure(one: Attachment) -> None:
    if one.failure:
        return
    with pins.inside(one.door):
        route = RouteSocket()
        try:
            route.do(*_inner_messages(one))
        finally:
            route.close()
        pins.write_sysctls({**_endpoint_sysctls(one), **one.sysctls})


def _inner_messages(one: Attachment) -> list[bytes]:
    wanted = [messages.up(1)]  # lo is always 1
    indexes = {network: if_nametoindex(name) for network, name in one.interfaces.items()}
    networks = {n.name: n for _, n in one.endpoints}
    for endpoint in ordered(e for e, _ in one.endpoints):
        index = indexes[endpoint.network]
        if endpoint.ipv6:
            _enable_v6(one.interfaces[endpoint.network])
        wanted.append(messages.up(index))
        wanted += [messages.address(index, a, length) for a, length in _addresses(endpoint, networks[endpoint.network])]
    for version in (4, 6):
        if chosen := gateway_endpoint(one.endpoints, version):
            wanted.append(messages.default_route(indexes[chosen[1].name], gateway_of(chosen[1], version) or ""))
    return wanted


def _addresses(endpoint: EndpointSpec, network: NetworkSpec) -> list[tuple[str, int]]:
    found = [(a, 64 if ":" in a else 16) for a in endpoint.link_local_ips]
    for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
        subnet = subnet_of(network, address)
        if subnet is None:
            raise Unsupported(f"address {address} is in no subnet of network {network.name}", hint="choose one of the network's subnet")
        found.append((address, prefix_length(subnet.subnet)))
    return found


def _enable_v6(interface: str) -> None:
    base = f"net/ipv6/conf/{interface}"
    pins.write_sysctls({f"{base}/accept_ra": "0", f"{base}/disable_ipv6": "0"})


def _endpoint_sysctls(one: Attachment) -> dict[str, str]:
    """Docker's endpoint option: "net.ipv4.conf.IFNAME.log_martians=1,…", IFNAME being the interface."""
    found: dict[str, str] = {}
    for endpoint, _ in one.endpoints:
        for setting in filter(None, endpoint.driver_opts.get(_ENDPOINT_SYSCTLS, "").split(",")):
            name, _, value = setting.partition("=")
            found[name.strip().replace("IFNAME", one.interfaces[endpoint.network])] = value.strip()
    return found


def _index(link: str, network: NetworkSpec) -> int:
    try:
        return if_nametoindex(link)
    except OSError as error:
        raise Conflict(f"network {network.name} has no bridge {link}", hint="another command removed it; run this one again") from error


def _mac(endpoint: EndpointSpec) -> str:
    if endpoint.mac is None:
        return mac_for(endpoint.ipv4 or endpoint.ipv6 or endpoint.network)
    if not _MAC.fullmatch(endpoint.mac):
        raise Unsupported(f"{endpoint.mac!r} is not a MAC address", hint="six pairs of hex digits, as 02:42:ac:11:00:02")
    return endpoint.mac.replace("-", ":").lower()
