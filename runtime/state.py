"""What is there: frozen states as ``runtime.observe`` reads them from disk and kernel. Pure data, in every process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from runtime.record import dataclass
from runtime.spec import ContainerSpec, ImageConfig, NetworkSpec, VolumeSpec


class Status(StrEnum):
    """A container's status, spelled as Docker spells it."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"


class Health(StrEnum):
    """A container's health; NONE when it has no check."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """The health and the last probe: consecutive failures, exit code, output (at most 4 KiB), end in ns since the epoch."""

    status: Health = Health.NONE
    failing_streak: int = 0
    last_exit_code: int = 0
    last_output: str = ""
    last_end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """A container's life, written by the supervisor alone (``state.json``). Times in ns since the epoch, 0 for never."""

    status: Status = Status.CREATED
    pid: int = 0
    pid_start: int = 0  # field 22 of /proc/<pid>/stat, so that a reused pid is never taken for ours
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: int = 0
    finished_at: int = 0
    restart_count: int = 0
    stopped_by_user: bool = False
    health: HealthState = field(default_factory=HealthState)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """One container: what was asked for, what its life is like, and when it was created (ns since the epoch).

    ``alive`` is proven (supervisor lock or pidfd), not read: a state file that says "running" after a reboot reads as exited.
    """

    spec: ContainerSpec
    process: ProcessState = field(default_factory=ProcessState)
    image: ImageConfig = field(default_factory=ImageConfig)
    created_at: int = 0

    @property
    def running(self) -> bool:
        """Whether its first process exists (paused and restarting containers count as Docker counts them)."""
        return self.process.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """One network, with the leases (address → container id) on it."""

    spec: NetworkSpec
    created_at: int = 0
    leases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeState:
    """One volume and the directory that holds its data."""

    spec: VolumeSpec
    mountpoint: str = ""
    created_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageState:
    """One image in the store: config digest, size on disk in bytes, configuration, when it was pulled or built (ns), its repo digest."""

    id: str
    config: ImageConfig
    size: int = 0
    created_at: int = 0
    pulled_at: int = 0
    digest: str = ""  # manifest digest, "sha256:…"
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The host as one project sees it at one moment; the only thing the planner knows about the world.

    ``containers`` are the project's own; ``neighbours`` maps container names to states of other projects' containers that the
    Intent asked for (external links, ``container:x``). ``networks`` and ``volumes`` are the whole host's, by real name. ``images`` maps
    references, as written in the Compose file, to what the store holds. ``routes`` are the destinations in use, ``ports_in_use`` are
    (protocol, address, port) bound or published. ``platform`` is the machine's, "linux/amd64". ``nonce`` feeds new ids, ``now`` is the moment of observation.
    """

    project: str
    containers: tuple[ContainerState, ...] = ()
    neighbours: Mapping[str, ContainerState] = field(default_factory=dict)
    networks: Mapping[str, NetworkState] = field(default_factory=dict)
    volumes: Mapping[str, VolumeState] = field(default_factory=dict)
    images: Mapping[str, ImageState] = field(default_factory=dict)
    routes: tuple[str, ...] = ()
    ports_in_use: frozenset[tuple[str, str, int]] = frozenset()
    ephemeral_ports: tuple[int, int] = (32768, 60999)
    uplink_mtu: int = 1500
    platform: str = ""
    nonce: str = ""
    now: int = 0
