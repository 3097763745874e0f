"""The read door: what is there, read from disk and /proc. Changes nothing, imports only the standard library, needs no supervisor.

Alive is proven by pid and start time, or by the supervisor's lock, never by a pid alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime import codec
from runtime.record import dataclass
from runtime.spec import ContainerSpec, ImageConfig, NetworkSpec, VolumeSpec, host_platform
from runtime.state import ContainerState, ImageState, NetworkState, ProcessState, Snapshot, Status, VolumeState
from runtime.store import Paths, entries, is_locked, paths, read_file

if TYPE_CHECKING:
    from runtime.cgroups_stats import Stats
    from runtime.network.doctor import Check
    from runtime.processes import Process
    from runtime.supervisor.logs_follow import LogFollower
    from runtime.supervisor.logs_format import LogLine

LOST_EXIT_CODE = 255
_ALIVE = (Status.RUNNING, Status.PAUSED, Status.RESTARTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a container uses: its cgroup's counters, network bytes in and out, and the moment (ns) they were read."""

    counted: Stats
    received_bytes: int = 0
    sent_bytes: int = 0
    at: int = 0


def snapshot(project: str, *, images: Sequence[str] = (), neighbours: Sequence[str] = (), where: Paths | None = None) -> Snapshot:
    """Everything the planner may know for ``project``: its containers, all networks and volumes, the named images and neighbours."""
    from runtime.network.host import ports_in_use, routes_in_use, uplink_mtu

    at = where or paths()
    return Snapshot(
        project=project,
        containers=containers(project, where=at),
        neighbours=_neighbours(neighbours, at),
        networks={n.spec.name: n for n in networks(where=at)},
        volumes={v.spec.name: v for v in volumes(where=at)},
        images=_images(images, at),
        routes=tuple(routes_in_use()),
        ports_in_use=frozenset(ports_in_use()),
        ephemeral_ports=_ephemeral_ports(),
        uplink_mtu=uplink_mtu(),
        platform=host_platform(os.uname().machine),
        nonce=os.urandom(16).hex(),
        now=time.time_ns(),
    )


def projects(*, where: Paths | None = None) -> tuple[str, ...]:
    """Names of all projects that have containers."""
    at = where or paths()
    return tuple(p for p in entries(at.projects) if entries(f"{at.projects}/{p}/containers"))


def containers(project: str, *, where: Paths | None = None) -> tuple[ContainerState, ...]:
    """The project's containers, by name."""
    at = where or paths()
    supervised = is_locked(f"{at.project_run(project)}/supervisor.lock")
    found = (container(project, i, supervised=supervised, where=at) for i in entries(f"{at.project(project)}/containers") if len(i) == 64)
    return tuple(sorted((c for c in found if c is not None), key=lambda c: c.spec.name))


def container(project: str, container_id: str, *, supervised: bool | None = None, where: Paths | None = None) -> ContainerState | None:
    """One container, or None when it is not there (or half created)."""
    at = where or paths()
    directory = at.container(project, container_id)
    spec = read_file(f"{directory}/spec.json")
    image = read_file(f"{directory}/image.json")
    if spec is None or image is None:
        return None
    return ContainerState(
        spec=codec.loads(ContainerSpec, spec),
        image=codec.loads(ImageConfig, image),
        process=process(project, container_id, supervised=supervised, where=at),
        created_at=int(read_file(f"{directory}/created") or 0),
    )


def process(project: str, container_id: str, *, supervised: bool | None = None, where: Paths | None = None) -> ProcessState:
    """A container's life. What the file says is running but is not, nor supervised, has exited with an unknown code."""
    at = where or paths()
    text = read_file(f"{at.container(project, container_id)}/state.json")
    if text is None:
        return ProcessState()
    state = codec.loads(ProcessState, text)
    if state.status not in _ALIVE:
        return state
    if supervised is None:
        supervised = is_locked(f"{at.project_run(project)}/supervisor.lock")
    if supervised or is_alive(state.pid, state.pid_start):
        return state
    return replace(state, status=Status.EXITED, exit_code=LOST_EXIT_CODE, error="the process ended while nobody watched", pid=0)


def is_alive(pid: int, pid_start: int) -> bool:
    """Whether the process ``pid`` that started at ``pid_start`` (field 22 of /proc/<pid>/stat, clock ticks) still lives."""
    text = read_file(f"/proc/{pid}/stat") if pid else None
    if text is None:
        return False
    fields = text[text.rindex(b")") + 2 :].split()
    return fields[0] not in (b"Z", b"X") and (pid_start == 0 or int(fields[19]) == pid_start)


def find(name: str, *, where: Paths | None = None) -> ContainerState | None:
    """A container of any project by name, id or unique id prefix (12 digits or more)."""
    at = where or paths()
    for project in entries(at.projects):
        for container_id in entries(f"{at.projects}/{project}/containers"):
            if len(container_id) == 64 and _answers_to(at, project, container_id, name):
                return container(project, container_id, where=at)
    return None


def networks(*, where: Paths | None = None) -> tuple[NetworkState, ...]:
    """All networks of this host, with their leases."""
    at = where or paths()
    found = []
    for name in entries(at.networks):
        text = read_file(f"{at.networks}/{name}/network.json")
        if text is not None and not name.startswith("."):
            created = int(read_file(f"{at.networks}/{name}/created") or 0)
            found.append(
                NetworkState(spec=codec.loads(NetworkSpec, text), created_at=created, leases=_leases(f"{at.networks}/{name}/leases"))
            )
    return tuple(found)


def volumes(*, where: Paths | None = None) -> tuple[VolumeState, ...]:
    """All volumes of this host."""
    at = where or paths()
    found = []
    for name in entries(at.volumes):
        text = read_file(f"{at.volumes}/{name}/volume.json")
        if text is not None and not name.startswith("."):
            directory = f"{at.volumes}/{name}"
            created = int(read_file(f"{directory}/created") or 0)
            found.append(VolumeState(spec=codec.loads(VolumeSpec, text), mountpoint=f"{directory}/_data", created_at=created))
    return tuple(found)


def events(project: str, *, where: Paths | None = None) -> Iterator[dict[str, object]]:
    """What happened to the project's containers, oldest first, as the supervisor recorded it."""
    at = where or paths()
    for name in ("events.jsonl.1", "events.jsonl"):
        for line in (read_file(f"{at.project(project)}/{name}") or b"").splitlines():
            if line.endswith(b"}"):
                yield json.loads(line)


def _ephemeral_ports() -> tuple[int, int]:
    """The range that random host ports come from (ip(7), ip_local_port_range)."""
    low, high = (read_file("/proc/sys/net/ipv4/ip_local_port_range") or b"32768 60999").split()
    return int(low), int(high)


def _leases(directory: str) -> dict[str, str]:
    holders = ((address, (read_file(f"{directory}/{address}") or b"").decode()) for address in entries(directory))
    return {address: holder for address, holder in holders if holder}


def _images(references: Iterable[str], at: Paths) -> dict[str, ImageState]:
    wanted = list(dict.fromkeys(references))
    if not wanted:
        return {}
    from runtime.images import ImageStore

    store = ImageStore(at)
    return {reference: state for reference in wanted if (state := store.find(reference)) is not None}


def _neighbours(names: Sequence[str], at: Paths) -> dict[str, ContainerState]:
    return {name: state for name in dict.fromkeys(names) if (state := find(name, where=at)) is not None}


def _answers_to(at: Paths, project: str, container_id: str, name: str) -> bool:
    if container_id == name or (len(name) >= 12 and container_id.startswith(name)):
        return True
    text = read_file(f"{at.container(project, container_id)}/spec.json")
    return text is not None and json.loads(text).get("name") == name


def logs(
    project: str, container_id: str, *, tail: int | None = None, since: int = 0, until: int | None = None, where: Paths | None = None
) -> Iterator[LogLine]:
    """A container's output: all of it, the last ``tail`` lines, or what came between ``since`` and ``until`` (ns since the epoch)."""
    from runtime.supervisor import logs_reader

    directory = f"{(where or paths()).container(project, container_id)}/logs"
    return logs_reader.read(directory, since=since, until=until, tail=tail)


def follow_logs() -> LogFollower:
    """Something that follows any number of containers' logs: ``add(key, log_directory(...))``, ``ready()``, ``wait()``, ``finish(key)``."""
    from runtime.supervisor.logs_follow import LogFollower

    return LogFollower()


def log_directory(project: str, container_id: str, *, where: Paths | None = None) -> str:
    """Where a container's log lies."""
    return f"{(where or paths()).container(project, container_id)}/logs"


def network_checks() -> tuple[Check, ...]:
    """What of the host's network helps or hinders containers: kernel features, firewall, forwarding, others' rules."""
    from runtime.network import doctor

    return doctor.checks()


def usage(state: ContainerState, *, where: Paths | None = None) -> Usage:
    """What a container uses now; zeros when it does not run."""
    from runtime import cgroups

    counted = cgroups.find(_cgroup_path(state, where or paths())).stats()
    received, sent = _network_bytes(state.process.pid)
    return Usage(counted=counted, received_bytes=received, sent_bytes=sent, at=time.time_ns())


def processes_of(state: ContainerState, *, where: Paths | None = None) -> tuple[Process, ...]:
    """The processes of a running container, as ``ps -ef`` shows them."""
    from runtime import cgroups
    from runtime.processes import descendants, processes

    pids = cgroups.find(_cgroup_path(state, where or paths())).pids()
    return processes(pids or (descendants(state.process.pid) if state.running else ()))


def _cgroup_path(state: ContainerState, at: Paths) -> str:
    text = read_file(f"{at.container(state.spec.project, state.spec.id)}/bundle.json")
    cgroup = json.loads(text).get("cgroup", {}) if text else {}
    return str(cgroup.get("path", ""))


def _network_bytes(pid: int) -> tuple[int, int]:
    """Received and sent bytes of every interface but lo, from /proc/<pid>/net/dev (proc(5))."""
    received = sent = 0
    for line in (read_file(f"/proc/{pid}/net/dev") or b"").decode().splitlines()[2:] if pid else ():
        name, _, numbers = line.partition(":")
        if name.strip() != "lo":
            received += int(numbers.split()[0])
            sent += int(numbers.split()[8])
    return received, sent
