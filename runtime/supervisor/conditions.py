"""What ``wait`` waits for, decided from a container's state alone. Pure."""

from __future__ import annotations

from typing import Literal, get_args

from runtime.state import Health, ProcessState, Status

Condition = Literal["started", "healthy", "completed", "running_or_healthy", "exited"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

_UP = (Status.RUNNING, Status.PAUSED)
_DOWN = (Status.EXITED, Status.DEAD, Status.REMOVING)


def is_decided(condition: Condition, state: ProcessState) -> bool:
    """Whether waiting for ``condition`` is over, come true or not; a container between two restarts is waited for."""
    if state.status in _DOWN or (state.status == Status.CREATED and state.error):
        return True
    if state.status not in _UP:
        return False
    match condition:
        case "started":
            return True
        case "healthy" | "running_or_healthy":
            return state.health.status != Health.STARTING
        case "completed" | "exited":
            return False


def outcome(state: ProcessState, reason: str = "") -> dict[str, object]:
    """The answer to a ``wait``: status, exit code, health and why (``reason`` is "timeout" or the start's error)."""
    return {
        "status": str(state.status),
        "exit_code": state.exit_code,
        "health": str(state.health.status),
        "reason": reason or state.error,
    }
