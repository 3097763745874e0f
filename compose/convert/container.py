"""Service × replica → ContainerSpec: every attribute in its place. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from compose.convert import mounts, names
from compose.convert.endpoints import attachments, endpoint_spec, gateway, network_mode, shared_mode
from compose.convert.files import file_mounts
from compose.convert.hashing import config_hash
from compose.convert.labels import container_labels
from compose.convert.links import link_environment, link_specs
from compose.convert.ports import port_specs
from compose.convert.resources import devices, healthcheck, log_spec, resources, restart_policy, seccomp_profile, security_options, ulimits
from compose.convert.support import unsupported
from compose.convert.surroundings import Surroundings
from compose.model import Service
from runtime.record import dataclass
from runtime.spec import ContainerSpec, EndpointSpec, ImageConfig, MountSpec, PortSpec
from runtime.state import ContainerState

_GRACE_PERIOD = 10.0
_HOST_GATEWAY = "host-gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which container of a service is wanted. ``before`` is the container it replaces; ``keep_addresses`` takes over its addresses.

    ``one_off`` is a ``run`` container: known by its own name only (unless ``named``), without the service's fixed addresses.
    """

    id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    before: ContainerState | None = None
    keep_addresses: bool = False
    one_off: bool = False
    named: bool = True
    config_hash: str = ""


def container_spec(at: Surroundings, service: Service, request: Request) -> ContainerSpec:
    """Everything about one container. Raises PlanError for what cannot be (missing donors, addresses outside subnets, unknown policies)."""
    for text in unsupported(service):
        at.warn(text)
    image = at.image(service)
    digest = request.config_hash or config_hash(service, at.project)
    endpoints = _endpoints(at, service, request)
    labels = container_labels(at.project, service, digest, image.id if image else "")
    spec = ContainerSpec(
        id=request.id,
        name=request.name,
        project=at.project.name,
        image=names.image_name(at.project, service, compatibility=at.compatibility),
        image_id=image.id if image else "",
        platform=service.platform or None,
        entrypoint=service.entrypoint,
        command=service.command,
        environment=_environment(at, service, request.name),
        working_dir=service.working_dir or None,
        user=service.user or None,
        group_add=service.group_add,
        hostname=service.hostname,
        domainname=service.domainname,
        labels={**labels, **_image_volume_label(at, service), **request.labels},
        annotations=service.annotations,
        mounts=_mounts(at, service, request, image.config if image else ImageConfig()),
        endpoints=endpoints,
        links=link_specs(at, service, one_off=request.one_off),
        ports=_ports(at, service, request),
        expose=service.expose,
        dns=service.dns,
        dns_search=service.dns_search,
        dns_opt=service.dns_opt,
        extra_hosts=_extra_hosts(at, service, endpoints),
        config_hash=digest,
    )
    return _with_kernel_side(at, service, spec)


def _with_kernel_side(at: Surroundings, service: Service, spec: ContainerSpec) -> ContainerSpec:
    """The spec with namespaces, privileges, limits and life."""
    return replace(
        spec,
        network_mode=shared_mode(at, network_mode(at.project, service), "network"),
        pid_mode=shared_mode(at, service.pid, "PID"),
        ipc_mode=shared_mode(at, service.ipc, "IPC"),
        uts_mode=shared_mode(at, service.uts, "UTS"),
        cgroup_mode=service.cgroup,
        userns_mode=service.userns_mode,
        cgroup_parent=service.cgroup_parent,
        privileged=service.privileged,
        read_only=service.read_only,
        init=bool(service.init),
        tty=service.tty,
        stdin_open=service.stdin_open,
        cap_add=service.cap_add,
        cap_drop=service.cap_drop,
        security_opt=security_options(service),
        seccomp_profile=seccomp_profile(service),
        sysctls=service.sysctls,
        ulimits=ulimits(service),
        devices=devices(service),
        device_cgroup_rules=service.device_cgroup_rules,
        resources=resources(service),
        shm_size=service.shm_size or None,
        oom_score_adj=service.oom_score_adj,
        stop_signal=service.stop_signal or None,
        stop_grace_period=_GRACE_PERIOD if service.stop_grace_period is None else service.stop_grace_period,
        restart=restart_policy(service),
        healthcheck=healthcheck(service),
        logging=log_spec(service),
    )


def image_volumes_digest(at: Surroundings, service: Service) -> str:
    """The images mounted as volumes, with what the store holds for them; a change replaces the container."""
    references = [v.source for v in service.volumes if v.type == "image"]
    return ",".join(f"{r}={at.snapshot.images[r].id}" for r in references if r in at.snapshot.images)


def _image_volume_label(at: Surroundings, service: Service) -> dict[str, str]:
    digest = image_volumes_digest(at, service)
    return {names.IMAGE_VOLUME: digest} if digest else {}


def _environment(at: Surroundings, service: Service, name: str) -> Mapping[str, str | None]:
    if not service.links and not service.external_links:
        return service.environment
    return {**link_environment(at, service, name), **service.environment}


def _endpoints(at: Surroundings, service: Service, request: Request) -> tuple[EndpointSpec, ...]:
    held = {e.network: e for e in request.before.spec.endpoints} if request.before and request.keep_addresses else {}
    found = []
    for index, attachment in enumerate(attachments(at.project, service)):
        endpoint = endpoint_spec(
            at,
            service,
            attachment,
            request.id,
            first_mac="" if index else service.mac_address,
            named=request.named,
            static=not request.one_off,
            keep=held.get(at.networks[attachment.network].name),
        )
        found.append(endpoint)
    return tuple(found)


def _mounts(at: Surroundings, service: Service, request: Request, image: ImageConfig) -> tuple[MountSpec, ...]:
    before = request.before
    carried = mounts.anonymous_volumes(before.spec.mounts) if before and not at.renew_anonymous else {}
    inherited = mounts.Inherited(seed=at.snapshot.nonce + request.id, anonymous=carried, image_volumes=image.volumes)
    own = mounts.mount_specs(at.project, service, inherited)
    own = (*own, *file_mounts(at.project, service, at.warnings))
    for donor, mode in _lent_mounts(at, service):
        own = (*own, *mounts.shared_mounts(donor.mounts, own, mode))
    return (*own, *mounts.image_mounts(service, inherited, own))


def _lent_mounts(at: Surroundings, service: Service) -> list[tuple[ContainerSpec, str]]:
    found = []
    for text in service.volumes_from:
        kind, _, rest = text.partition(":") if text.startswith("container:") else ("service", "", text)
        name, _, mode = rest.partition(":")
        found.append((at.donor(f"{kind}:{name}", "volume"), mode or "rw"))
    return found


def _ports(at: Surroundings, service: Service, request: Request) -> tuple[PortSpec, ...]:
    if not service.ports:
        return ()
    mode = network_mode(at.project, service)
    if mode and mode != "bridge":
        at.warn(f"services.{service.name}.ports: published ports are discarded with network_mode {mode}")
        return ()
    return port_specs(service, at.ports, request.name, request.before.spec.ports if request.before else ())


def _extra_hosts(at: Surroundings, service: Service, endpoints: tuple[EndpointSpec, ...]) -> tuple[tuple[str, str], ...]:
    if not any(address == _HOST_GATEWAY for _, address in service.extra_hosts):
        return service.extra_hosts
    host = "127.0.0.1" if network_mode(at.project, service) == "host" else gateway(at, endpoints)
    if host is None:
        at.warn(f"services.{service.name}.extra_hosts: there is no host-gateway without a network")
    found = ((name, host if address == _HOST_GATEWAY else address) for name, address in service.extra_hosts)
    return tuple((name, address) for name, address in found if address)
