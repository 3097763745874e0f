"""Talking to a project's supervisor from the engine: every call on a connection of its own, so that slow stops wait side by side.

No threads: a cancelled command (Ctrl-C, a timeout) lets go of its calls at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from typing import Any

import anyio

from runtime import observe
from runtime.engine import records
from runtime.errors import NotFound, RuntimeFailure
from runtime.spec import ContainerSpec
from runtime.state import Status
from runtime.store import Paths, entries, is_locked
from runtime.supervisor import client
from runtime.supervisor.protocol import failure_from, line

_ATTEMPTS = 12  # a supervisor that was killed is back within two seconds
_LONGEST_PAUSE = 0.4


async def call(where: Paths, project: str, method: str, **arguments: object) -> dict[str, Any]:
    """One call to the supervisor, which is started when it is not there. Raises what the supervisor raised.

    When it dies under the call, its successor is asked: every method can be repeated.
    """
    request = line({"method": method, **arguments})
    for attempt in range(_ATTEMPTS):
        try:
            answer = json.loads(await _ask(client.dial(project, where), request))
        except OSError:
            await anyio.sleep(min(0.01 * 2**attempt, _LONGEST_PAUSE))
            continue
        if "error" in answer:
            raise failure_from(answer["error"])
        return dict(answer.get("result") or {})
    raise RuntimeFailure(f"the supervisor of project {project} does not stay up", hint=f"see {where.project_run(project)}/supervisor.log")


async def _ask(connection: socket.socket, request: bytes) -> bytes:
    received = b""
    with connection:
        connection.sendall(request)
        while not received.endswith(b"\n"):
            await anyio.wait_readable(connection)
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            received += data
    return received


async def forget(where: Paths, project: str, container: str) -> None:
    """Tell a live supervisor that a container goes away; without one there is nobody to tell."""
    if is_locked(f"{where.project_run(project)}/supervisor.lock") and os.path.exists(f"{where.project_run(project)}/supervisor.sock"):
        try:
            await call(where, project, "remove", id=container)
        except NotFound:
            return


async def dismiss_if_empty(where: Paths, project: str) -> None:
    """Let the supervisor of a project without containers leave at once, rather than in a while."""
    if not entries(f"{where.project(project)}/containers") and is_locked(f"{where.project_run(project)}/supervisor.lock"):
        with contextlib.suppress(RuntimeFailure):
            await call(where, project, "shutdown")


async def refresh(where: Paths, container: str) -> None:
    """Tell a live supervisor that a container's spec was rewritten."""
    project = records.locate(where, container)
    if is_locked(f"{where.project_run(project)}/supervisor.lock"):
        await call(where, project, "refresh", id=container)


async def wait(where: Paths, spec: ContainerSpec, condition: str, timeout: float | None, ignore_exit: bool) -> None:
    """Wait until ``condition`` holds; raises RuntimeFailure with Docker Compose's words when it cannot."""
    answer = await call(where, spec.project, "wait", id=spec.id, condition=condition, timeout=timeout)
    status, code = str(answer.get("status", "")), int(answer.get("exit_code", 0))
    exited = status in (Status.EXITED, Status.DEAD)
    if answer.get("reason") == "timeout":
        raise RuntimeFailure(f"application not healthy after {timeout or 0:g}s")
    match condition:
        case "completed":
            if code != 0 and (hook := spec.labels.get("com.docker.compose.hook")):
                raise RuntimeFailure(
                    f'service "{_service(spec)}" {hook} exited with code {code}', hint=f"see its output: pycompose logs {_service(spec)}"
                )
            if code != 0:
                raise RuntimeFailure(f'service "{_service(spec)}" didn\'t complete successfully: exit {code}')
        case "healthy" | "running_or_healthy" if answer.get("health") == "unhealthy" and not exited:
            raise RuntimeFailure(f"container {spec.name} is unhealthy", hint=f"see its output: pycompose logs {_service(spec)}")
        case "healthy" if answer.get("health") == "none" and not exited:
            raise RuntimeFailure(f"container {spec.name} has no healthcheck configured")
        case "healthy" | "running_or_healthy" | "started" if exited and not (ignore_exit and code == 0):
            raise RuntimeFailure(f"container {spec.name} exited ({code})", hint=f"see its output: pycompose logs {_service(spec)}")


def forgiven(spec: ContainerSpec, failure: RuntimeFailure) -> str:
    """How Docker Compose speaks of a failure of a dependency with ``required: false``."""
    begun = f'service "{_service(spec)}"'
    if failure.message.startswith(begun):
        return f"optional dependency{failure.message.removeprefix('service')}"
    return f'optional dependency "{_service(spec)}" failed to start: {failure.message}'


def _service(spec: ContainerSpec) -> str:
    return spec.labels.get("com.docker.compose.service", spec.name)


def running(where: Paths, spec: ContainerSpec) -> bool:
    """Whether the container's first process lives."""
    return observe.process(spec.project, spec.id, where=where).status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)
