"""A service's networks → endpoints with their addresses; its network, ipc, pid and uts modes. Pure."""

from __future__ import annotations

from compose.convert.books import canonical_address
from compose.convert.networks import DEFAULT_BRIDGE
from compose.convert.surroundings import Surroundings
from compose.errors import PlanError
from compose.model import Project, Service, ServiceNetwork
from runtime.network.ipam import gateway_of, mac_for, subnet_of
from runtime.spec import ContainerSpec, EndpointSpec, NetworkSpec

_SHARED = ("service:", "container:")
_MODES = {"IPC": ("host", "private", "shareable", "none"), "PID": ("host",), "UTS": ("host",)}


def attachments(project: Project, service: Service) -> tuple[ServiceNetwork, ...]:
    """The service's ends of networks, highest priority first; ``default`` when nothing is written; none with another network mode."""
    if service.provider is not None:
        return ()
    mode = network_mode(project, service)
    if mode == DEFAULT_BRIDGE:
        return (ServiceNetwork(network=DEFAULT_BRIDGE),)
    if mode:
        return ()
    written = service.networks or (ServiceNetwork(network="default"),)
    return tuple(sorted(written, key=lambda n: (-n.priority, n.network))) if len(written) > 1 else written


def network_mode(project: Project, service: Service) -> str:
    """``network_mode`` as written, or the predefined network (host, none, bridge) that the service's only network is a name for."""
    if service.network_mode or len(service.networks) != 1:
        return "" if service.network_mode == "default" else service.network_mode
    network = project.networks.get(service.networks[0].network)
    if network is not None and network.external and network.name in ("host", "none", DEFAULT_BRIDGE):
        return network.name
    return ""


def static_addresses(service: Service, network: ServiceNetwork) -> tuple[str, ...]:
    """The addresses written for a service on a network, in their one spelling."""
    at = f"services.{service.name}.networks.{network.network}"
    pairs = (("ipv4_address", network.ipv4_address), ("ipv6_address", network.ipv6_address))
    return tuple(canonical_address(text, f"{at}.{key}") for key, text in pairs if text)


def endpoint_spec(
    at: Surroundings,
    service: Service,
    attachment: ServiceNetwork,
    spec_id: str,
    *,
    first_mac: str = "",
    named: bool = True,
    static: bool = True,
    keep: EndpointSpec | None = None,
) -> EndpointSpec:
    """One end of one network. ``keep`` is an endpoint whose addresses are taken over (linked containers keep theirs)."""
    network = at.networks[attachment.network]
    fixed = attachment if static else ServiceNetwork(network=attachment.network)
    ipv4 = _address(at, service, network, fixed.ipv4_address, 4, spec_id, keep.ipv4 if keep else None)
    ipv6 = _address(at, service, network, fixed.ipv6_address, 6, spec_id, keep.ipv6 if keep else None)
    mac = (attachment.mac_address or first_mac) if static else ""
    return EndpointSpec(
        network=network.name,
        ipv4=ipv4,
        ipv6=ipv6,
        mac=mac or mac_for(ipv4 or ipv6 or spec_id),
        aliases=_aliases(service, attachment, spec_id, named),
        interface=attachment.interface_name or None,
        priority=attachment.priority,
        gw_priority=attachment.gw_priority,
        link_local_ips=attachment.link_local_ips,
        driver_opts=attachment.driver_opts,
    )


def shared_mode(at: Surroundings, mode: str, subject: str) -> str:
    """``service:x`` and ``container:x`` as ``container:<id>``, anything else as it is. Raises PlanError for a mode that there is not."""
    if not mode.startswith(_SHARED):
        if mode and mode not in _MODES.get(subject, (mode,)):
            raise PlanError(
                f"invalid {subject} mode: {mode}", hint=f"one of {', '.join((*_MODES[subject], *map('{}NAME'.format, _SHARED)))}"
            )
        return mode
    return f"container:{at.donor(mode, f'{subject} namespace').id}"


def gateway(at: Surroundings, endpoints: tuple[EndpointSpec, ...]) -> str | None:
    """The host's address on the container's first network, for ``host-gateway``."""
    by_name = {n.name: n for n in at.networks.values()}
    found = (gateway_of(by_name[e.network], v) for e in endpoints if e.network in by_name for v in (4, 6))
    return next((g for g in found if g), None)


def donor_ids(spec: ContainerSpec) -> frozenset[str]:
    """Ids of the containers whose namespaces a container lives in."""
    modes = (spec.network_mode, spec.ipc_mode, spec.pid_mode, spec.uts_mode)
    return frozenset(m.removeprefix("container:") for m in modes if m.startswith("container:"))


def _address(
    at: Surroundings, service: Service, network: NetworkSpec, static: str, version: int, spec_id: str, kept: str | None
) -> str | None:
    if not static:
        if kept is not None:
            at.addresses.hold(network.name, kept, spec_id)
            return kept
        return at.addresses.choose(network, version, spec_id)
    address = canonical_address(static, f"services.{service.name}.networks.{network.name}")
    if subnet_of(network, address) is None:
        ranges = ", ".join(s.subnet for s in network.subnets)
        raise PlanError(
            f"services.{service.name}: address {address} is in no subnet of network {network.name} ({ranges})",
            hint="user specified IP address is supported only when connecting to networks with user configured subnets",
        )
    at.addresses.hold(network.name, address, spec_id)
    return address


def _aliases(service: Service, attachment: ServiceNetwork, spec_id: str, named: bool) -> tuple[str, ...]:
    """All names besides the container's own; the default bridge knows none."""
    if attachment.network == DEFAULT_BRIDGE:
        return ()
    if not named:
        return (spec_id[:12],)
    return tuple(dict.fromkeys((service.name, *attachment.aliases, spec_id[:12])))
