"""What services are made of, as the Compose model has it: frozen, fully typed, everything in its long form. Pure data; ``compose.model`` exports it.

Sizes are bytes, durations seconds, modes integers; ``None`` means "not written".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from runtime.record import dataclass

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
