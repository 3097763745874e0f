"""Doors into one container for short commands: exec, run's streams, cp, export. Synchronous and light: no asyncio, no networker.

Runs in the command's process; processes are started in the container by ``runtime.enter`` and are children of the command.
"""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Iterator
from typing import Any

from runtime import codec, observe
from runtime.bundle import Bundle
from runtime.engine import records
from runtime.enter import execute
from runtime.errors import NotFound, RuntimeFailure
from runtime.record import dataclass
from runtime.sandbox import Stdio
from runtime.spec import ExecSpec
from runtime.state import ContainerState, Status
from runtime.store import Paths, paths, read_file
from runtime.supervisor.client import Attachment, Client


@dataclass(frozen=True, slots=True)
class Entered:
    """A process started in a container: ``terminal`` is the pty's master end (blocking), or None."""

    pid: int
    pidfd: int
    terminal: int | None = None


def container(container_id: str, where: Paths | None = None) -> ContainerState:
    """The container's state. Raises NotFound."""
    at = where or paths()
    state = observe.container(records.locate(at, container_id), container_id, where=at)
    if state is None:
        raise NotFound(f"no such container: {container_id[:12]}")
    return state


def bundle(state: ContainerState, where: Paths | None = None) -> Bundle:
    """What the container was launched with. Raises NotFound."""
    text = read_file(f"{(where or paths()).container(state.spec.project, state.spec.id)}/bundle.json")
    if text is None:
        raise NotFound(f"container {state.spec.name} is incomplete", hint="remove and create it again: pycompose up --force-recreate")
    return codec.loads(Bundle, text)


def enter(
    container_id: str,
    process: ExecSpec,
    *,
    stdio: tuple[int, int, int] = (0, 1, 2),
    size: tuple[int, int] = (0, 0),
    where: Paths | None = None,
) -> Entered:
    """Start a further process in a running container, on the given descriptors or (``process.tty``) on a pty of the container's own,
    of ``size`` rows and columns.

    Raises RuntimeFailure when it is not running or paused, LaunchError (126, 127) when the program cannot be executed.
    """
    state = container(container_id, where)
    _refuse_unless_running(state)
    streams = Stdio(terminal=True, size=size) if process.tty else Stdio(*stdio)
    started = execute(state.process.pid, bundle(state, where), process, streams)
    return Entered(started.pid, started.pidfd, started.terminal if process.tty else None)


def wait(entered: Entered) -> int:
    """Wait for its end; the exit code, 128+n when signal n ended it."""
    result = os.waitid(os.P_PID, entered.pid, os.WEXITED)
    os.close(entered.pidfd)
    if result is None:
        return 0
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def exec_in(container_id: str, process: ExecSpec, *, stdio: tuple[int, int, int] = (0, 1, 2), where: Paths | None = None) -> int:
    """``enter`` and ``wait``, for commands without a terminal. Signals that end this command are passed on first."""
    entered = enter(container_id, process, stdio=stdio, where=where)
    previous = {s: signals.signal(s, lambda number, _: os.kill(entered.pid, number)) for s in (signals.SIGINT, signals.SIGTERM)}
    try:
        return wait(entered)
    finally:
        for number, action in previous.items():
            signals.signal(number, action)


def attach(container_id: str, *, stdin_once: bool = False, where: Paths | None = None) -> Attachment:
    """Join a container's streams, whether it runs already or is started next; see ``runtime.supervisor.client.Attachment``."""
    at = where or paths()
    project = records.locate(at, container_id)
    return Client(project, at).attach(container_id, stdin_once=stdin_once)


def resize(container_id: str, rows: int, columns: int, *, where: Paths | None = None) -> None:
    """Tell a container's terminal its size."""
    _call(container_id, "resize", where, rows=rows, cols=columns)


def send_signal(container_id: str, name: str, *, where: Paths | None = None) -> None:
    """Send a signal to a container's first process."""
    _call(container_id, "kill", where, signal=name)


def wait_for_end(container_id: str, *, seconds: float | None = None, where: Paths | None = None) -> int:
    """Wait until a container has stopped for good, at most ``seconds``; its exit code."""
    return int(_call(container_id, "wait", where, condition="exited", timeout=seconds).get("exit_code", 0))


def subscribe(project: str, ids: list[str] | None = None, *, where: Paths | None = None) -> Iterator[dict[str, Any]]:
    """What happens to the project's containers, as it happens."""
    return Client(project, where or paths()).subscribe(ids)


def _call(container_id: str, method: str, where: Paths | None, **arguments: object) -> dict[str, Any]:
    at = where or paths()
    with Client(records.locate(at, container_id), at) as client:
        return client.call(method, id=container_id, **arguments)


def _refuse_unless_running(state: ContainerState) -> None:
    match state.process.status:
        case Status.RUNNING:
            return
        case Status.PAUSED:
            raise RuntimeFailure(f"Container {state.spec.name} is paused, unpause the container before exec", hint="pycompose unpause")
        case _:
            raise RuntimeFailure(f"container {state.spec.id} is not running", hint="pycompose start, then try again")
