"""Top-level networks and volumes → NetworkSpec and VolumeSpec, subnets chosen. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from compose.convert import names
from compose.convert.labels import network_labels, volume_labels
from compose.errors import PlanError
from compose.model import IpamPool, Network, Project, Volume
from runtime.network.ipam import bridge_name, choose_subnets, complete_subnet
from runtime.spec import NetworkSpec, SubnetSpec, VolumeSpec

DEFAULT_BRIDGE = "bridge"
PREDEFINED = ("host", "none", DEFAULT_BRIDGE)

_BRIDGE_OPTION = "com.docker.network.bridge."
_MTU_OPTION = "com.docker.network.driver.mtu"


def network_spec(project: Project, network: Network, nonce: str, taken: Iterable[str]) -> NetworkSpec:
    """What to make for ``network``. ``taken`` are destinations no chosen subnet may overlap. Raises PlanError for drivers that are not there."""
    if network.driver not in ("", "default", "bridge"):
        raise PlanError(
            f"networks.{network.key}.driver: {network.driver} is not supported",
            hint="leave the driver out: networks are bridges on this host",
        )
    identity = names.identity(nonce, "network", network.name)
    options = network.driver_opts
    return NetworkSpec(
        id=identity,
        name=network.name,
        project=project.name,
        bridge=options.get(f"{_BRIDGE_OPTION}name") or bridge_name(identity),
        subnets=_subnets(network, nonce, taken),
        internal=network.internal,
        enable_ipv4=network.enable_ipv4 is not False,
        enable_ipv6=bool(network.enable_ipv6),
        mtu=_integer(network, _MTU_OPTION),
        icc=_flag(network, f"{_BRIDGE_OPTION}enable_icc"),
        masquerade=_flag(network, f"{_BRIDGE_OPTION}enable_ip_masquerade"),
        host_binding_ipv4=options.get(f"{_BRIDGE_OPTION}host_binding_ipv4", ""),
        attachable=network.attachable,
        driver_opts=options,
        labels=network_labels(project, network),
    )


def default_bridge(nonce: str, taken: Iterable[str]) -> NetworkSpec:
    """The network of ``network_mode: bridge``: shared by all projects, without names, only links."""
    identity = names.identity(nonce, "network", DEFAULT_BRIDGE)
    return NetworkSpec(id=identity, name=DEFAULT_BRIDGE, bridge="pycompose0", subnets=choose_subnets(taken, True, False, identity))


def volume_spec(project: Project, volume: Volume) -> VolumeSpec:
    """What to make for ``volume``."""
    if volume.driver not in ("", "default", "local"):
        raise PlanError(f"volumes.{volume.key}.driver: {volume.driver} is not supported", hint="the driver is local")
    return VolumeSpec(name=volume.name, project=project.name, driver_opts=volume.driver_opts, labels=volume_labels(project, volume))


def _subnets(network: Network, nonce: str, taken: Iterable[str]) -> tuple[SubnetSpec, ...]:
    """The written pools, completed; a version that has none gets a free one."""
    written = tuple(_pool(p) for p in network.ipam if p.subnet)
    versions = {ip_network(s.subnet).version for s in written}
    want_v4 = network.enable_ipv4 is not False and 4 not in versions
    want_v6 = bool(network.enable_ipv6) and 6 not in versions
    if not want_v4 and not want_v6:
        return written
    return (*written, *choose_subnets(taken, want_v4, want_v6, f"{nonce}{network.name}"))


def _pool(pool: IpamPool) -> SubnetSpec:
    written = SubnetSpec(
        subnet=pool.subnet, gateway=pool.gateway or None, ip_range=pool.ip_range or None, reserved=tuple(pool.aux_addresses.values())
    )
    return complete_subnet(written)


def _flag(network: Network, option: str) -> bool:
    text = network.driver_opts.get(option, "true").lower()
    if text not in ("true", "false", "1", "0"):
        raise PlanError(f"networks.{network.key}.driver_opts.{option}: {text!r} is not a boolean", hint="write true or false")
    return text in ("true", "1")


def _integer(network: Network, option: str) -> int | None:
    text = network.driver_opts.get(option)
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    raise PlanError(f"networks.{network.key}.driver_opts.{option}: {text!r} is not a number")
