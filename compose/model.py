"""The Compose model: frozen, fully typed, everything in its long form, as the loader leaves it. Pure data.

Names follow the Compose Specification. Sizes are bytes, durations seconds, modes integers; ``None`` means "not written".
``raw`` on Project is the canonical document (plain dicts and lists) from which ``config`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from compose.model_parts import (
    BlkioConfig,
    BlkioRate,
    Build,
    Condition,
    Dependency,
    Deploy,
    Device,
    DeviceRequest,
    Healthcheck,
    Hook,
    Logging,
    Port,
    Provider,
    ServiceFile,
    ServiceNetwork,
    ServiceVolume,
    Ulimit,
    WatchRule,
)
from runtime.record import dataclass

__all__ = [
    "AiModel",
    "BlkioConfig",
    "BlkioRate",
    "Build",
    "Condition",
    "Dependency",
    "Deploy",
    "Device",
    "DeviceRequest",
    "FileSource",
    "Healthcheck",
    "Hook",
    "IpamPool",
    "Logging",
    "Network",
    "Port",
    "Project",
    "Provider",
    "Service",
    "ServiceFile",
    "ServiceNetwork",
    "ServiceVolume",
    "Ulimit",
    "Volume",
    "WatchRule",
]


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
