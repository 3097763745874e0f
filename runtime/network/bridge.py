"""A network's own link: the bridge with its addresses and kernel parameters, and the host's forwarding switches. In the network worker."""

from __future__ import annotations

import errno
import os

from runtime.errors import Conflict, RuntimeFailure, Unsupported
from runtime.network import messages
from runtime.network.host import link_address, link_exists, uplink_mtu
from runtime.network.ipam import INTERFACE_NAME_LIMIT, mac_for, prefix_length
from runtime.network.netlink import Refused, RouteSocket
from runtime.network.pins import write_sysctls
from runtime.spec import NetworkSpec

_ALIAS = "pycompose "  # ifalias of the bridges we made: only those are deleted


def ensure(route: RouteSocket, network: NetworkSpec) -> tuple[str, ...]:
    """Make the bridge, or complete it; the host's sysctls that had to be switched on ("net.ipv4.ip_forward=1").

    A bridge that exists under a name the user chose is used, and never deleted. Raises Conflict when another kind of link has the name.
    """
    _check_name(network.bridge)
    made = not link_exists(network.bridge) and _create(route, network)
    if not made:
        _refuse_other_kind(route, network)
        made = _is_unfinished(route, network)
    try:
        _complete(route, network, made)
    except Refused as refused:
        raise refusal(refused, f"bridge {network.bridge} of network {network.name}") from refused
    return _forwarding(network)


def remove(route: RouteSocket, network: NetworkSpec) -> None:
    """Delete the bridge if we made it; already gone is success."""
    if _is_ours(route, network):
        [refused] = route.run([messages.link(messages.DELLINK, 0, messages.text(messages.IFLA_IFNAME, network.bridge))])
        if refused and refused.errno != errno.ENODEV:
            raise refusal(refused, f"bridge {network.bridge}")


def mtu_of(network: NetworkSpec) -> int:
    """The network's MTU: its own, else the uplink's."""
    return network.mtu or uplink_mtu()


def refusal(refused: Refused, subject: str) -> RuntimeFailure:
    """What a refused message means to a user."""
    match refused.errno:
        case errno.EPERM | errno.EACCES:
            return Unsupported(f"{subject}: {refused.strerror}", hint="networks need root (CAP_NET_ADMIN); run pycompose doctor")
        case errno.EOPNOTSUPP:
            return Unsupported(
                f"{subject}: {refused.strerror}", hint="the kernel lacks a feature (bridge, veth, IPv6); run pycompose doctor"
            )
        case errno.EEXIST:
            return Conflict(f"{subject}: the name or address exists already")
        case errno.EXFULL | errno.E2BIG:
            return Unsupported(f"{subject}: the bridge has no port left (1023 at most)", hint="spread the services over several networks")
        case _:
            return RuntimeFailure(f"{subject}: {refused.strerror}")


def _check_name(name: str) -> None:
    if not name or len(name) > INTERFACE_NAME_LIMIT or any(c in "/:\"'" or c.isspace() for c in name) or name in (".", ".."):
        raise Unsupported(
            f"{name!r} is no name for a bridge", hint=f"1 to {INTERFACE_NAME_LIMIT} characters, no space, slash, colon or quote"
        )


def _create(route: RouteSocket, network: NetworkSpec) -> bool:
    # A fixed address; else the bridge takes its lowest port's, and neighbours' caches go stale.
    attributes = messages.text(messages.IFLA_IFNAME, network.bridge) + messages.hardware_address(mac_for(network.id))
    wanted = messages.link(messages.NEWLINK, messages.CREATE | messages.EXCL, attributes + messages.kind_of_link("bridge"))
    [refused] = route.run([wanted])
    if refused and refused.errno != errno.EEXIST:
        raise refusal(refused, f"bridge {network.bridge} of network {network.name}")
    return refused is None


def _refuse_other_kind(route: RouteSocket, network: NetworkSpec) -> None:
    for _, name, attributes in route.links():
        kind = dict(attributes.get("IFLA_LINKINFO", {"attrs": ()})["attrs"]).get("IFLA_INFO_KIND", "physical")
        if name == network.bridge and kind != "bridge":
            raise Conflict(f"network {network.name}: {name} exists and is a {kind} link, not a bridge", hint="choose another bridge name")


def _is_ours(route: RouteSocket, network: NetworkSpec) -> bool:
    return route.alias(network.bridge).startswith(_ALIAS) or _is_unfinished(route, network)


def _is_unfinished(route: RouteSocket, network: NetworkSpec) -> bool:
    """Whether the process that made it was ended before it could give it our alias: it has our address already."""
    return not route.alias(network.bridge) and link_address(network.bridge) == mac_for(network.id)


def _complete(route: RouteSocket, network: NetworkSpec, made: bool) -> None:
    from socket import if_nametoindex

    index = if_nametoindex(network.bridge)
    _bridge_sysctls(network)
    own = messages.number(messages.IFLA_MTU, mtu_of(network)) + messages.text(messages.IFLA_IFALIAS, _ALIAS + network.id[:12])
    gateways = [(s.gateway, prefix_length(s.subnet)) for s in network.subnets if s.gateway]
    addresses = [messages.address(index, gateway, length) for gateway, length in gateways]
    route.do(messages.link(messages.NEWLINK, 0, own if made else b"", index=index, up=True), *addresses)


def _bridge_sysctls(network: NetworkSpec) -> None:
    has_v6 = any(":" in s.subnet for s in network.subnets)
    v4, v6 = f"net/ipv4/conf/{network.bridge}", f"net/ipv6/conf/{network.bridge}"
    if not network.internal:
        write_sysctls({f"{v4}/route_localnet": "1"})  # 127.0.0.1:<published> leaves by the bridge (ip-sysctl)
    ours = {f"{v6}/accept_dad": "0", f"{v6}/accept_ra": "0", f"{v6}/disable_ipv6": "0" if has_v6 else "1"}
    write_sysctls(ours, required=has_v6)


def _forwarding(network: NetworkSpec) -> tuple[str, ...]:
    """Switch routing on where the network needs it; what was switched."""
    if network.internal:
        return ()
    changed: list[str] = []
    if any(":" not in s.subnet for s in network.subnets):
        changed += _switch_on("net.ipv4.ip_forward")
    if any(":" in s.subnet for s in network.subnets) and not _is_on("net.ipv6.conf.all.forwarding"):
        _keep_router_advertisements()
        changed += _switch_on("net.ipv6.conf.all.forwarding")
    return tuple(changed)


def _switch_on(name: str) -> list[str]:
    if _is_on(name):
        return []
    write_sysctls({name: "1"})
    return [f"{name}=1"]


def _is_on(name: str) -> bool:
    try:
        with open(f"/proc/sys/{name.replace('.', '/')}") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def _keep_router_advertisements() -> None:
    """A forwarding host ignores router advertisements unless accept_ra is 2 (ip-sysctl): uplinks configured by them would lose their route."""
    base = "/proc/sys/net/ipv6/conf"
    for name in os.listdir(base):
        path = f"net/ipv6/conf/{name}/accept_ra"
        with open(f"/proc/sys/{path}") as file:
            current = file.read().strip()
        if current == "1" and name not in ("all", "default", "lo"):
            write_sysctls({path: "2"}, required=False)
