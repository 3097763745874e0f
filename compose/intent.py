"""What a command wants: frozen requests to the planner. Pure data, made by the command line from its flags.

``services`` empty means "all of them". Timeouts are seconds, ``None`` takes the container's own grace period.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from compose.model import Port, ServiceVolume
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """Converge: make, replace, start what the project asks for. ``up``, and with ``no_start`` ``create``.

    ``pull`` is "", "always", "missing", "never" or "policy"; ``scale`` overrides replica counts per service. ``yes`` agrees to every
    question of the plan, ``agreed`` to those about the named subjects (``Question.subject``).
    """

    services: tuple[str, ...] = ()
    build: bool = False
    no_build: bool = False
    pull: str = ""
    force_recreate: bool = False
    no_recreate: bool = False
    always_recreate_deps: bool = False
    renew_anon_volumes: bool = False
    no_deps: bool = False
    scale: Mapping[str, int] = field(default_factory=dict)
    remove_orphans: bool = False
    ignore_orphans: bool = False
    timeout: float | None = None
    wait: bool = False
    wait_timeout: float | None = None
    no_start: bool = False
    yes: bool = False
    agreed: frozenset[str] = frozenset()
    compatibility: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Converge without starting anything; fields as in ``Up``."""

    services: tuple[str, ...] = ()
    build: bool = False
    no_build: bool = False
    pull: str = ""
    force_recreate: bool = False
    no_recreate: bool = False
    scale: Mapping[str, int] = field(default_factory=dict)
    remove_orphans: bool = False
    ignore_orphans: bool = False
    yes: bool = False
    agreed: frozenset[str] = frozenset()
    compatibility: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Bring the named services to a number of replicas; ``no_deps`` leaves their dependencies alone."""

    scale: Mapping[str, int]
    no_deps: bool = False
    compatibility: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One container of ``service`` beside its replicas. ``None`` keeps the service's value.

    ``command`` None keeps the service's; ``entrypoint`` replaces and drops it. ``volumes`` and ``publish`` are in their long forms (parsed by the
    command line). ``service_ports`` publishes the model's ports. ``start`` False leaves it created: the command line attaches to its streams
    first and starts it then. ``remove`` deletes it, with its anonymous volumes, when it ends.
    """

    service: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    name: str = ""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_dir: str | None = None
    volumes: tuple[ServiceVolume, ...] = ()
    publish: tuple[Port, ...] = ()
    service_ports: bool = False
    use_aliases: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    tty: bool = False
    stdin_open: bool = False
    remove: bool = False
    no_deps: bool = False
    start: bool = True
    build: bool = False
    pull: str = ""
    remove_orphans: bool = False
    ignore_orphans: bool = False
    compatibility: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """Stop and delete. ``rmi`` is "", "local" (images without a name of their own) or "all".

    ``dependents`` takes along what depends on ``services`` (for a project known from labels alone).
    """

    services: tuple[str, ...] = ()
    dependents: bool = False
    volumes: bool = False
    rmi: str = ""
    remove_orphans: bool = False
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start existing containers, dependencies first."""

    services: tuple[str, ...] = ()
    wait: bool = False
    wait_timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Stop what is named, dependents first; keep the containers."""

    services: tuple[str, ...] = ()
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Restart in place; dependents with ``restart: true`` follow unless ``no_deps``."""

    services: tuple[str, ...] = ()
    timeout: float | None = None
    no_deps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Send ``signal`` to the first process of every running container."""

    services: tuple[str, ...] = ()
    signal: str = "SIGKILL"
    remove_orphans: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rm:
    """Delete stopped containers; ``stop`` stops running ones first, ``volumes`` deletes their anonymous volumes."""

    services: tuple[str, ...] = ()
    stop: bool = False
    volumes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Freeze every running container."""

    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpause:
    """Thaw every frozen container."""

    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """Bring images into the store. ``policy`` "" refreshes, "missing" takes what is not there, "always" overrides every service's own."""

    services: tuple[str, ...] = ()
    policy: str = ""
    include_deps: bool = False
    ignore_buildable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Build images. ``args`` are added to every service's own; ``with_dependencies`` builds what the named services depend on too."""

    services: tuple[str, ...] = ()
    args: Mapping[str, str | None] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False
    with_dependencies: bool = False


Intent = Up | Create | Scale | Run | Down | Start | Stop | Restart | Kill | Rm | Pause | Unpause
ImageIntent = Up | Create | Scale | Run | Pull | Build
