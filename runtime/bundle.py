"""A bundle: everything one launch needs, resolved from a container's spec, its image and the places on disk. Pure data, in every process.

The engine resolves and writes it (``bundle.json``); the supervisor and the image builder read it and launch it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal

from runtime import security
from runtime.bundle_mounts import MountEntry, entries
from runtime.errors import RuntimeFailure
from runtime.record import dataclass
from runtime.spec import ContainerSpec, DeviceSpec, ImageConfig, Resources, Ulimit
from runtime.store import Paths

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHM_SIZE = 64 << 20
_FILTER_VERSION = "1"  # part of a compiled filter's name; raise it when compiling changes


@dataclass(frozen=True, slots=True, kw_only=True)
class RootPlan:
    """The root file system: ``lowers`` are read-only layer directories, lowest first; ``mountpoint`` is any directory (only the child mounts there).

    ``upper`` and ``work`` (same file system) take the writes; an empty ``upper`` makes the root read-only altogether.
    """

    lowers: tuple[str, ...]
    upper: str = ""
    work: str = ""
    mountpoint: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespacePlan:
    """Which namespaces are the container's own: "" its own, "host" the host's, or the id of the container that shares its own.

    ``network`` is "host", "none" (own, empty, nobody else's) or the path of a pinned namespace; ``network_donor`` is the container whose
    namespace stands in when that pin does not exist. ``user`` is kept free for user namespaces.
    """

    network: str
    network_donor: str = ""
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroup: str = ""
    user: str = "host"

    @property
    def donors(self) -> tuple[str, ...]:
        """Ids of the containers whose process ids ``launch`` must be given."""
        return tuple(dict.fromkeys(d for d in (self.network_donor, self.pid, self.ipc, self.uts) if d not in ("", "host")))


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupPlan:
    """A cgroup: ``path`` below every hierarchy's root, limits, and device rules as in devices.allow ("c 10:229 rwm").

    ``all_devices`` lifts the device rules (privileged). An empty path joins no cgroup (short-lived build steps may).
    """

    path: str = ""
    resources: Resources = field(default_factory=Resources)
    device_rules: tuple[str, ...] = ()
    all_devices: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What the processes may do. ``seccomp_filter`` is the path of the compiled program ("" for none), made from ``seccomp_profile`` when missing."""

    capabilities: tuple[str, ...] = security.DEFAULT_CAPABILITIES
    no_new_privileges: bool = False
    seccomp_filter: str = ""
    seccomp_profile: str = ""  # JSON text; "" is the default profile
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    masked_paths: tuple[str, ...] = security.MASKED_PATHS
    readonly_paths: tuple[str, ...] = security.READONLY_PATHS


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One launch. ``environment`` lacks HOME, PATH, HOSTNAME and TERM unless they were given: the child adds their defaults.

    ``user`` is as written (name or number, with an optional group) and is looked up in the container's own files.
    """

    id: str
    name: str = ""
    root: RootPlan
    mounts: tuple[MountEntry, ...] = ()
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str = ""
    group_add: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    tty: bool = False
    init: bool = False
    privileged: bool = False
    namespaces: NamespacePlan
    cgroup: CgroupPlan = field(default_factory=CgroupPlan)
    confinement: Confinement = field(default_factory=Confinement)
    devices: tuple[DeviceSpec, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    shm_size: int = DEFAULT_SHM_SIZE
    shm: Literal["own", "host", "donor", "none"] = "own"
    stop_signal: str = "SIGTERM"


def resolve(
    spec: ContainerSpec,
    image: ImageConfig,
    layers: Sequence[str],
    container_dir: str,
    paths: Paths,
    volumes: Mapping[str, str],
    images: Mapping[str, Sequence[str]] | None = None,
) -> Bundle:
    """The bundle of a container. ``layers`` are unpacked layers, lowest first; ``volumes`` maps volume names to data directories, ``images``
    the references of image mounts to their layers. Raises RuntimeFailure when the spec contradicts itself."""
    options = security.security_options(spec.security_opt)
    namespaces = _namespaces(spec, paths)
    return Bundle(
        id=spec.id,
        name=spec.name,
        root=_root(spec, layers, container_dir),
        mounts=entries(spec, container_dir, volumes, images or {}),
        argv=arguments(spec, image),
        environment=environment(spec, image),
        cwd=spec.working_dir or image.working_dir or "/",
        user=image.user if spec.user is None else spec.user,
        group_add=spec.group_add,
        hostname=_hostname(spec),
        domainname=spec.domainname,
        tty=spec.tty,
        init=spec.init,
        privileged=spec.privileged,
        namespaces=namespaces,
        cgroup=_cgroup(spec),
        confinement=_confinement(spec, options, paths),
        devices=spec.devices,
        sysctls=_sysctls(spec, namespaces),
        ulimits=spec.ulimits,
        oom_score_adj=spec.oom_score_adj,
        shm_size=spec.shm_size or DEFAULT_SHM_SIZE,
        shm=_shm(spec),
        stop_signal=spec.stop_signal or image.stop_signal or "SIGTERM",
    )


def arguments(spec: ContainerSpec, image: ImageConfig) -> tuple[str, ...]:
    """Entrypoint and command by Docker's rules: an entrypoint of one's own drops the image's command."""
    if spec.entrypoint is not None:
        argv = spec.entrypoint + (spec.command or ())
    else:
        argv = (image.entrypoint or ()) + ((image.command or ()) if spec.command is None else spec.command)
    if not argv:
        raise RuntimeFailure(f"{spec.name}: no command specified", hint="the image has none either: give command: or entrypoint:")
    return argv


def environment(spec: ContainerSpec, image: ImageConfig) -> dict[str, str]:
    """The image's variables with the spec's over them; a value of None takes a variable away."""
    found = dict(e.partition("=")[::2] for e in image.environment)
    for key, value in spec.environment.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def cgroup_path(spec: ContainerSpec) -> str:
    """A container's cgroup, below the root of every hierarchy."""
    return f"{spec.cgroup_parent.strip('/') or 'pycompose'}/{spec.project}/{spec.id}"


def seccomp_filter_path(root: str, profile: str, capabilities: Sequence[str]) -> str:
    """Where the compiled filter of a profile and capability set is cached; one file serves all containers with the same."""
    import hashlib  # here, because it loads OpenSSL (3 MB) and the supervisor never comes by

    machine = os.uname().machine
    text = "\0".join((_FILTER_VERSION, machine, profile, *capabilities))
    return f"{root}/seccomp/{hashlib.sha256(text.encode()).hexdigest()[:32]}.bpf"


def _root(spec: ContainerSpec, layers: Sequence[str], container_dir: str) -> RootPlan:
    return RootPlan(
        lowers=tuple(layers),
        upper=f"{container_dir}/upper",
        work=f"{container_dir}/work",
        mountpoint=container_dir,
        read_only=spec.read_only,
    )


def _namespaces(spec: ContainerSpec, paths: Paths) -> NamespacePlan:
    network, donor = paths.netns(spec.id), ""
    if spec.network_mode == "host":
        network = "host"
    elif spec.network_mode.startswith("container:"):
        donor = _shared(spec.network_mode)
        network = paths.netns(donor)
    return NamespacePlan(
        network=network,
        network_donor=donor,
        pid=_shared(spec.pid_mode),
        ipc=_shared(spec.ipc_mode),
        uts=_shared(spec.uts_mode),
        cgroup=_shared(spec.cgroup_mode),
    )


def _shared(mode: str) -> str:
    """A ``pid_mode`` and the like as NamespacePlan spells it."""
    return mode.removeprefix("container:") if mode == "host" or mode.startswith("container:") else ""


def _hostname(spec: ContainerSpec) -> str:
    if spec.uts_mode == "host" or spec.network_mode == "host":
        return spec.hostname
    return spec.hostname or spec.id[:12]


def _cgroup(spec: ContainerSpec) -> CgroupPlan:
    return CgroupPlan(
        path=cgroup_path(spec),
        resources=spec.resources,
        device_rules=spec.device_cgroup_rules,
        all_devices=spec.privileged,
    )


def _confinement(spec: ContainerSpec, options: security.SecurityOptions, paths: Paths) -> Confinement:
    capabilities = security.capability_set(spec.cap_add, spec.cap_drop, privileged=spec.privileged)
    profile = _seccomp_profile(spec, options)
    unmasked = spec.privileged or options.unmasked
    return Confinement(
        capabilities=capabilities,
        no_new_privileges=options.no_new_privileges,
        seccomp_filter="" if profile == "unconfined" else seccomp_filter_path(paths.root, profile, capabilities),
        seccomp_profile="" if profile == "unconfined" else profile,
        apparmor=options.apparmor,
        labels=options.labels,
        masked_paths=() if unmasked else security.MASKED_PATHS,
        readonly_paths=() if unmasked else security.READONLY_PATHS,
    )


def _seccomp_profile(spec: ContainerSpec, options: security.SecurityOptions) -> str:
    chosen = options.seccomp if spec.seccomp_profile is None else spec.seccomp_profile
    if spec.privileged and chosen in ("", "builtin"):
        return "unconfined"
    if chosen in ("", "builtin"):
        return ""
    if chosen != "unconfined" and not chosen.lstrip().startswith("{"):
        raise RuntimeFailure(f"seccomp profile {chosen!r} was not read", hint="give the path of a JSON profile, or unconfined")
    return chosen


def _sysctls(spec: ContainerSpec, namespaces: NamespacePlan) -> dict[str, str]:
    own_network = namespaces.network != "host" and not namespaces.network_donor
    for name in spec.sysctls:
        security.check_sysctl(name, own_network=own_network, own_ipc=not namespaces.ipc)
    # Docker's defaults: any user may bind port 80 and ping inside a network namespace of one's own.
    defaults = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"} if own_network else {}
    return {**defaults, **spec.sysctls}


def _shm(spec: ContainerSpec) -> Literal["own", "host", "donor", "none"]:
    if spec.ipc_mode == "host":
        return "host"
    if spec.ipc_mode.startswith("container:"):
        return "donor"
    return "none" if spec.ipc_mode == "none" else "own"
