"""Talking to a project's supervisor from the engine: every call in a thread of its own, so that slow stops wait side by side."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread

from runtime import observe
from runtime.errors import NotFound, RuntimeFailure
from runtime.spec import ContainerSpec
from runtime.state import Status
from runtime.store import Paths, is_locked


async def call(where: Paths, project: str, method: str, limiter: CapacityLimiter, **arguments: object) -> dict[str, Any]:
    """One call to the supervisor, which is started when it is not there. Raises what the supervisor raised."""
    return await to_thread.run_sync(partial(_call, where, project, method, arguments), limiter=limiter, abandon_on_cancel=True)


async def forget(where: Paths, project: str, container: str, limiter: CapacityLimiter) -> None:
    """Tell a live supervisor that a container goes away; without one there is nobody to tell."""
    if is_locked(f"{where.project_run(project)}/supervisor.lock") and os.path.exists(f"{where.project_run(project)}/supervisor.sock"):
        try:
            await call(where, project, "remove", limiter, id=container)
        except NotFound:
            return


async def wait(
    where: Paths, spec: ContainerSpec, condition: str, timeout: float | None, ignore_exit: bool, limiter: CapacityLimiter
) -> None:
    """Wait until ``condition`` holds; raises RuntimeFailure with Docker Compose's words when it cannot."""
    answer = await call(where, spec.project, "wait", limiter, id=spec.id, condition=condition, timeout=timeout)
    status, code = str(answer.get("status", "")), int(answer.get("exit_code", 0))
    exited = status in (Status.EXITED, Status.DEAD)
    if answer.get("reason") == "timeout":
        raise RuntimeFailure(f"application not healthy after {timeout or 0:g}s")
    match condition:
        case "completed":
            if code != 0:
                raise RuntimeFailure(f'service "{_service(spec)}" didn\'t complete successfully: exit {code}')
        case "healthy" | "running_or_healthy" if answer.get("health") == "unhealthy":
            raise RuntimeFailure(f"container {spec.name} is unhealthy", hint=f"see its output: pycompose logs {_service(spec)}")
        case "healthy" if answer.get("health") == "none" and not exited:
            raise RuntimeFailure(f"container {spec.name} has no healthcheck configured")
        case "healthy" | "running_or_healthy" | "started" if exited and not (ignore_exit and code == 0):
            raise RuntimeFailure(f"container {spec.name} exited ({code})", hint=f"see its output: pycompose logs {_service(spec)}")


def _call(where: Paths, project: str, method: str, arguments: dict[str, object]) -> dict[str, Any]:
    from runtime.supervisor import client

    client.ensure(project, where)
    with client.Client(project, where) as connection:
        return connection.call(method, **arguments)


def _service(spec: ContainerSpec) -> str:
    return spec.labels.get("com.docker.compose.service", spec.name)


def running(where: Paths, spec: ContainerSpec) -> bool:
    """Whether the container's first process lives."""
    return observe.process(spec.project, spec.id, where=where).status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)
