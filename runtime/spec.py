"""What is asked for: frozen descriptions of containers, networks, volumes and images, as the planner decides them.

Pure data, read and written as JSON (``runtime.codec``). Sizes are bytes, durations are seconds, times are nanoseconds since the epoch.
Runs in every process of ours; imports nothing with effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from runtime.record import dataclass

Protocol = Literal["tcp", "udp", "sctp"]
Propagation = Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """A host file or directory seen at ``target``; ``create_source`` makes a missing directory (Compose's short syntax)."""

    kind: Literal["bind"] = "bind"
    source: str
    target: str
    read_only: bool = False
    propagation: Propagation = "rprivate"
    recursive: Literal["enabled", "disabled", "writable", "readonly"] = "enabled"
    create_source: bool = False
    selinux: Literal["z", "Z"] | None = None
    origin: str = ""  # path in the document, for messages: services.web.volumes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeMount:
    """A named volume at ``target``; an ``anonymous`` one has a name of 64 hex digits that the planner chose."""

    kind: Literal["volume"] = "volume"
    volume: str
    target: str
    read_only: bool = False
    nocopy: bool = False
    subpath: str = ""
    anonymous: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsMount:
    """Memory at ``target``; ``options`` are raw mount options (``noexec``, ``uid=…``) beside size (bytes) and mode (octal int)."""

    kind: Literal["tmpfs"] = "tmpfs"
    target: str
    size: int | None = None
    mode: int | None = None
    options: tuple[str, ...] = ()
    read_only: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMount:
    """The content of another image, read-only, at ``target``."""

    kind: Literal["image"] = "image"
    image: str
    target: str
    subpath: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMount:
    """A config or secret: a file with given content (base64), owner and mode, kept by the engine and bound read-only at ``target``."""

    kind: Literal["file"] = "file"
    target: str
    content: str
    uid: str = "0"
    gid: str = "0"
    mode: int = 0o444
    secret: bool = False
    origin: str = ""


MountSpec = BindMount | VolumeMount | TmpfsMount | ImageMount | FileMount


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """A legacy link: the names under which this container alone finds ``container`` (by container name)."""

    container: str
    alias: str
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """One interface of a container on one network. ``network`` is the network's real name; addresses carry no prefix length.

    The planner chooses every address; ``aliases`` are all names besides the container's own (service name, aliases, short id).
    """

    network: str
    ipv4: str | None = None
    ipv6: str | None = None
    mac: str | None = None
    aliases: tuple[str, ...] = ()
    interface: str | None = None
    priority: int = 0
    gw_priority: int = 0
    link_local_ips: tuple[str, ...] = ()
    driver_opts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    """One published port. ``host_ip`` "" means every address, v4 and v6; ``host_port`` is chosen, never 0; ``any_host_port`` says that
    another one would do."""

    container_port: int
    host_port: int
    host_ip: str = ""
    protocol: Protocol = "tcp"
    origin: str = ""
    any_host_port: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthcheckSpec:
    """A health check; ``None`` inherits the image's value. ``test`` is ("NONE",), ("CMD", …) or ("CMD-SHELL", command)."""

    test: tuple[str, ...] | None = None
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """Docker's restart policies; ``maximum_retry_count`` 0 means without end and counts for on-failure only."""

    name: Literal["no", "always", "on-failure", "unless-stopped"] = "no"
    maximum_retry_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """Where output goes: driver json-file, local, none, syslog or journald, with its string options (max-size, max-file …)."""

    driver: str = "json-file"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """A resource limit (getrlimit(2)); -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A host device node at ``target`` with cgroup ``permissions`` out of "rwm"; a directory stands for all devices in it."""

    source: str
    target: str
    permissions: str = "rwm"
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRate:
    """A throttle (bytes or operations per second) or weight for one block device."""

    path: str
    rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """cgroup limits. ``None`` is "not limited"; ``memory_swap`` is memory plus swap, -1 unlimited; ``cpus`` in CPUs."""

    memory: int | None = None
    memory_reservation: int | None = None
    memory_swap: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    cpus: float | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_rt_period: int | None = None
    cpu_rt_runtime: int | None = None
    cpuset: str | None = None
    pids: int | None = None
    blkio_weight: int | None = None
    blkio_weight_device: tuple[DeviceRate, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """Everything about one container that was asked for, with every name, id, address and hash decided.

    ``image_id`` is the image's config digest ("sha256:…") as observed when planning; "" only in a plan printed for an image that is not there yet.
    ``None`` in entrypoint, command, user, working_dir, stop_signal and healthcheck inherits from the image; an environment value
    of ``None`` removes the image's variable. ``network_mode``, ``pid_mode`` and the like are "", "host", "none", "bridge", "private", "shareable" or
    "container:<64 hex id>"; "" means "its own, with ``endpoints``".
    """

    id: str
    name: str
    project: str
    image: str
    image_id: str = ""
    platform: str | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    working_dir: str | None = None
    user: str | None = None
    group_add: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[MountSpec, ...] = ()
    endpoints: tuple[EndpointSpec, ...] = ()
    links: tuple[LinkSpec, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    expose: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    network_mode: str = ""
    pid_mode: str = ""
    ipc_mode: str = ""
    uts_mode: str = ""
    cgroup_mode: str = ""
    userns_mode: str = ""
    cgroup_parent: str = ""
    privileged: bool = False
    read_only: bool = False
    init: bool = False
    tty: bool = False
    stdin_open: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    seccomp_profile: str | None = None  # JSON text of a custom profile; None is the default one; "unconfined" is none
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    devices: tuple[DeviceSpec, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    shm_size: int | None = None
    oom_score_adj: int = 0
    stop_signal: str | None = None
    stop_grace_period: float = 10.0
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    healthcheck: HealthcheckSpec | None = None
    logging: LogSpec = field(default_factory=LogSpec)
    auto_remove: bool = False
    config_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetSpec:
    """One address range of a network, in CIDR; ``reserved`` are addresses (aux_addresses) that nobody may get."""

    subnet: str
    gateway: str | None = None
    ip_range: str | None = None
    reserved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A bridge network. ``bridge`` is the link's name (≤ 15 characters); ``subnets`` are complete, gateway included.

    ``mtu`` None takes the uplink's. ``masquerade`` and ``icc`` are the usual driver options, decoded.
    """

    id: str
    name: str
    project: str = ""
    driver: str = "bridge"
    bridge: str = ""
    subnets: tuple[SubnetSpec, ...] = ()
    internal: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    mtu: int | None = None
    icc: bool = True
    masquerade: bool = True
    host_binding_ipv4: str = ""
    attachable: bool = False
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """A volume: a directory of ours, or what ``driver_opts`` of the local driver (type, o, device) mount."""

    name: str
    project: str = ""
    driver: str = "local"
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False


# machines as uname(2) and users spell them, to GOARCH
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386", "i686": "386"}


def host_platform(machine: str) -> str:
    """``linux/amd64`` for uname(2)'s ``x86_64``; without a variant, as every machine runs the lower ones too."""
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The parts of an OCI image configuration that a container inherits (image-spec, config.md)."""

    id: str = ""  # sha256:… of the configuration
    architecture: str = ""
    os: str = "linux"
    variant: str = ""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[str, ...] = ()  # KEY=value
    working_dir: str = ""
    user: str = ""
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    healthcheck: HealthcheckSpec | None = None
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    diff_ids: tuple[str, ...] = ()
    created: str = ""

    @property
    def platform(self) -> str:
        """As ``linux/arm64/v8``."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def fits(self, platform: str) -> bool:
        """Whether this is an image for ``platform`` (os/architecture[/variant], or an architecture alone); "" is any.

        What an image does not say fits, and so does a lower variant: v7 runs what is made for v6.
        """
        if not platform:
            return True
        parts = platform.lower().split("/")
        system, architecture, variant = (*(parts if len(parts) > 1 else ("linux", *parts)), "")[:3]
        same = self.os in ("", system) and self.architecture in ("", _ARCHITECTURES.get(architecture, architecture))
        return same and (not variant or self.variant <= variant)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """A further process in a running container (exec, health checks, hooks). ``None`` takes the container's own value."""

    argv: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    working_dir: str | None = None
    user: str | None = None
    privileged: bool = False
    tty: bool = False
