"""The Compose model: frozen, fully typed, everything in its long form, as the loader leaves it. Pure data.

Names follow the Compose Specification. Sizes are bytes, durations seconds, modes integers; ``None`` means "not written".
``raw`` on Project is the canonical document (plain dicts and lists) from which ``config`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of ``depends_on``."""

    service: str
    condition: Condition = "service_started"
    restart: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """``healthcheck``; unset keys inherit the image's. ``test`` is normalised to ("NONE",), ("CMD", …) or ("CMD-SHELL", text)."""

    test: tuple[str, ...] | None = None
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None
    disable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One entry of ``ports``: ``published`` is "", a number or a range "9090-9091"."""

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: str = "tcp"
    mode: str = "ingress"
    name: str = ""
    app_protocol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceVolume:
    """One entry of a service's ``volumes``; ``source`` is a path (bind), a key of top-level ``volumes``, an image, or "" (anonymous)."""

    type: str
    source: str = ""
    target: str
    read_only: bool = False
    consistency: str = ""
    propagation: str = ""
    create_host_path: bool = False
    recursive: str = ""
    selinux: str = ""
    nocopy: bool = False
    subpath: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tmpfs_size: int | None = None
    tmpfs_mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFile:
    """One use of a config or secret; ``target`` "" takes the default place, ``mode`` None 0444."""

    source: str
    target: str = ""
    uid: str = ""
    gid: str = ""
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceNetwork:
    """A service's end of one network (key of top-level ``networks``)."""

    network: str
    aliases: tuple[str, ...] = ()
    interface_name: str = ""
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    gw_priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """One ``ulimits`` entry; a single number sets both."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One entry of ``devices``."""

    source: str
    target: str = ""
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """One GPU or other device request (``gpus``, ``deploy.resources.reservations.devices``); count -1 is all."""

    capabilities: tuple[str, ...] = ()
    driver: str = ""
    count: int | None = None
    device_ids: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlkioRate:
    """A path with a rate or weight."""

    path: str
    rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlkioConfig:
    """``blkio_config``."""

    weight: int | None = None
    weight_device: tuple[BlkioRate, ...] = ()
    device_read_bps: tuple[BlkioRate, ...] = ()
    device_write_bps: tuple[BlkioRate, ...] = ()
    device_read_iops: tuple[BlkioRate, ...] = ()
    device_write_iops: tuple[BlkioRate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """``logging``."""

    driver: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One ``pre_start``, ``post_start`` or ``pre_stop`` entry; ``image`` and ``per_replica`` are ``pre_start``'s."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    image: str = ""
    per_replica: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """``provider``: an outside program that makes the service."""

    type: str
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRule:
    """One ``develop.watch`` entry."""

    path: str
    action: str
    target: str = ""
    ignore: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exec: Hook | None = None
    initial_sync: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """``build``; paths are absolute, ``args`` of None were not set anywhere."""

    context: str = ""
    dockerfile: str = ""
    dockerfile_inline: str = ""
    args: Mapping[str, str | None] = field(default_factory=dict)
    additional_contexts: Mapping[str, str] = field(default_factory=dict)
    ssh: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[ServiceFile, ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    network: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    target: str = ""
    platforms: tuple[str, ...] = ()
    privileged: bool = False
    entitlements: tuple[str, ...] = ()
    isolation: str = ""
    provenance: str = ""
    sbom: str = ""
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """``deploy``, as far as one machine can honour it; limits are also in the service's own attributes after loading."""

    mode: str = ""
    replicas: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    cpus: float | None = None
    memory: int | None = None
    pids: int | None = None
    reservation_memory: int | None = None
    reservation_devices: tuple[DeviceRequest, ...] = ()
    restart_condition: str = ""
    restart_max_attempts: int | None = None
    restart_delay: float | None = None
    restart_window: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service, everything resolved: paths absolute, env files folded into ``environment``, short forms expanded."""

    name: str
    image: str = ""
    build: Build | None = None
    provider: Provider | None = None
    deploy: Deploy | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    attach: bool = True
    blkio_config: BlkioConfig | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cgroup: str = ""
    cgroup_parent: str = ""
    command: tuple[str, ...] | None = None
    configs: tuple[ServiceFile, ...] = ()
    container_name: str = ""
    cpu_count: int | None = None
    cpu_percent: float | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_rt_period: int | None = None
    cpu_rt_runtime: int | None = None
    cpus: float | None = None
    cpuset: str = ""
    depends_on: Mapping[str, Dependency] = field(default_factory=dict)
    develop: tuple[WatchRule, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    dns: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    domainname: str = ""
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    expose: tuple[str, ...] = ()
    external_links: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    gpus: tuple[DeviceRequest, ...] = ()
    group_add: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    hostname: str = ""
    init: bool | None = None
    ipc: str = ""
    isolation: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    logging: Logging | None = None
    mac_address: str = ""
    mem_limit: int | None = None
    mem_reservation: int | None = None
    mem_swappiness: int | None = None
    memswap_limit: int | None = None
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    network_mode: str = ""
    networks: tuple[ServiceNetwork, ...] = ()
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pid: str = ""
    pids_limit: int | None = None
    platform: str = ""
    ports: tuple[Port, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    privileged: bool = False
    profiles: tuple[str, ...] = ()
    pull_policy: str = ""
    pull_refresh_after: str = ""
    read_only: bool = False
    restart: str = ""
    runtime: str = ""
    scale: int | None = None
    secrets: tuple[ServiceFile, ...] = ()
    security_opt: tuple[str, ...] = ()
    shm_size: int | None = None
    stdin_open: bool = False
    stop_grace_period: float | None = None
    stop_signal: str = ""
    storage_opt: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    tmpfs: tuple[str, ...] = ()
    tty: bool = False
    ulimits: tuple[Ulimit, ...] = ()
    use_api_socket: bool = False
    user: str = ""
    userns_mode: str = ""
    uts: str = ""
    volumes: tuple[ServiceVolume, ...] = ()
    volumes_from: tuple[str, ...] = ()
    working_dir: str = ""

    @property
    def replicas(self) -> int:
        """How many containers are wanted when no ``--scale`` says otherwise."""
        if self.scale is not None:
            return self.scale
        if self.deploy is not None and self.deploy.replicas is not None:
            return self.deploy.replicas
        return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamPool:
    """One ``ipam.config`` entry."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A top-level network: ``key`` in the file, real ``name``."""

    key: str
    name: str
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    ipam_driver: str = ""
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    ipam: tuple[IpamPool, ...] = ()
    external: bool = False
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A top-level volume: ``key`` in the file, real ``name``."""

    key: str
    name: str
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    external: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A top-level config or secret. ``content`` is the text itself (inline, or the environment variable's value when it was set)."""

    key: str
    name: str
    file: str = ""
    environment: str = ""
    content: str | None = None
    external: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    template_driver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AiModel:
    """A top-level ``models`` entry."""

    key: str
    name: str = ""
    model: str = ""
    context_size: int | None = None
    runtime_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A whole project. ``services`` are the enabled ones; ``disabled_services`` wait for a profile or a target.

    ``working_dir`` is the project directory, ``files`` the compose files in order, ``env_files`` what fed interpolation, ``environment`` the variables
    that interpolation saw, ``warnings`` what was said while loading, ``raw`` the canonical document behind ``config``.
    """

    name: str
    working_dir: str
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    services: Mapping[str, Service] = field(default_factory=dict)
    disabled_services: Mapping[str, Service] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    configs: Mapping[str, FileSource] = field(default_factory=dict)
    secrets: Mapping[str, FileSource] = field(default_factory=dict)
    models: Mapping[str, AiModel] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)
