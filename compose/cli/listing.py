"""Containers as ``ps`` shows them: every field of the table, JSON and templates from a ContainerState. Pure; in the command's process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compose.cli import human
from runtime.state import ContainerState, Health, Status

SERVICE = "com.docker.compose.service"
PROJECT = "com.docker.compose.project"
ONEOFF = "com.docker.compose.oneoff"
NUMBER = "com.docker.compose.container-number"
CONFIG_FILES = "com.docker.compose.project.config_files"
_SECOND = 1_000_000_000


def service(state: ContainerState) -> str:
    """The service a container belongs to."""
    return state.spec.labels.get(SERVICE, "")


def number(state: ContainerState) -> int:
    """The replica's number, 0 for one-off containers."""
    text = state.spec.labels.get(NUMBER, "")
    return int(text) if text.isdigit() else 0


def is_oneoff(state: ContainerState) -> bool:
    """Whether ``run`` made it."""
    return state.spec.labels.get(ONEOFF, "").lower() == "true"


def by_number(states: Iterable[ContainerState]) -> list[ContainerState]:
    """In the order of services, then replicas, one-offs last."""
    return sorted(states, key=lambda s: (service(s), is_oneoff(s), number(s), s.spec.name))


def status(state: ContainerState, now: int) -> str:
    """The STATUS column: "Up 3 seconds (healthy)", "Exited (0) 2 minutes ago". ``now`` in ns since the epoch."""
    process = state.process
    match process.status:
        case Status.RUNNING:
            return f"Up {_since(process.started_at, now)}{_health(process.health.status)}"
        case Status.PAUSED:
            return f"Up {_since(process.started_at, now)} (Paused)"
        case Status.RESTARTING:
            return f"Restarting ({process.exit_code}) {_since(process.finished_at, now)} ago"
        case Status.CREATED:
            return "Created"
        case Status.EXITED:
            return f"Exited ({process.exit_code})" + (f" {_since(process.finished_at, now)} ago" if process.finished_at else "")
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"


def health(state: ContainerState) -> str:
    """ "healthy", "starting", "unhealthy", or "" without a check or when it does not run."""
    running = state.process.status is Status.RUNNING
    return state.process.health.status.value if running and state.process.health.status is not Health.NONE else ""


def command(state: ContainerState) -> str:
    """Entrypoint and command in one line, arguments with blanks in single quotes."""
    entrypoint = state.spec.entrypoint if state.spec.entrypoint is not None else state.image.entrypoint
    own = state.spec.command
    inherited = () if state.spec.entrypoint is not None else state.image.command or ()
    return " ".join(_argument(w) for w in (*(entrypoint or ()), *(own if own is not None else inherited)))


def labels(state: ContainerState) -> Mapping[str, str]:
    """The image's labels under the container's own."""
    return {**state.image.labels, **state.spec.labels}


def row(state: ContainerState, now: int, *, truncate: bool = True) -> dict[str, object]:
    """Every field that ``ps --format json`` prints. ``now`` in ns since the epoch."""
    from compose.cli.ports import display, publishers

    text = command(state)
    created = f"{_since(state.created_at, now)} ago"
    return {
        "ID": state.spec.id[:12] if truncate else state.spec.id,
        "Name": state.spec.name,
        "Names": state.spec.name,
        "Image": state.spec.image,
        "Command": human.quoted(human.ellipsis(text, 20) if truncate else text),
        "Project": state.spec.labels.get(PROJECT, state.spec.project),
        "Service": service(state),
        "CreatedAt": human.local_time(state.created_at),
        "RunningFor": created,
        "State": state.process.status.value,
        "Status": status(state, now),
        "Health": health(state),
        "ExitCode": state.process.exit_code if state.process.status in (Status.EXITED, Status.DEAD) else 0,
        "Ports": display(state),
        "Publishers": publishers(state),
        "Labels": ",".join(f"{k}={v}" for k, v in labels(state).items()),
        "Networks": ",".join(_networks(state)),
        "LocalVolumes": str(sum(m.kind == "volume" for m in state.spec.mounts)),
        "Mounts": ",".join(human.ellipsis(m, 15) if truncate else m for m in _mounts(state)),
        "Size": "0B",
    }


def _since(time_ns: int, now: int) -> str:
    return human.duration(max(0, now - time_ns) / _SECOND)


def _health(current: Health) -> str:
    match current:
        case Health.NONE:
            return ""
        case Health.STARTING:
            return " (health: starting)"
        case _:
            return f" ({current.value})"


def _argument(word: str) -> str:
    return f"'{word}'" if not word or " " in word else word


def _networks(state: ContainerState) -> list[str]:
    if state.spec.endpoints:
        return sorted(e.network for e in state.spec.endpoints)
    return [state.spec.network_mode] if state.spec.network_mode and not state.spec.network_mode.startswith("container:") else []


def _mounts(state: ContainerState) -> list[str]:
    names = []
    for mount in state.spec.mounts:
        match mount.kind:
            case "bind":
                names.append(mount.source)
            case "volume":
                names.append(mount.volume)
            case _:
                continue
    return names
