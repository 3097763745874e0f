"""What ``wait`` waits for, decided from a container's state alone. Pure."""

from __future__ import annotations

from typing import Literal, get_args

from runtime.state import Health, ProcessState, Status

Condition = Literal["started", "healthy", "completed", "running_or_healthy", "exited"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

SETTLING = 0.5
_UP = (Status.RUNNING, Status.PAUSED)
_DOWN = (Status.EXITED, Status.DEAD, Status.REMOVING)


def is_decided(condition: Condition, state: ProcessState, now: int) -> bool:
    """Whether waiting for ``condition`` is over, come true or not, at ``now`` (ns since the epoch); one between two restarts is waited for."""
    if state.status in _DOWN or (state.status == Status.CREATED and state.error):
        return True
    if state.status not in _UP:
        return False
    match condition:
        case "started":
            return True
        case "running_or_healthy" if state.health.status == Health.NONE:
            return settles_in(state, now) <= 0
        case "healthy" | "running_or_healthy":
            return state.health.status != Health.STARTING
        case "completed" | "exited":
            return False


def settles_in(state: ProcessState, now: int) -> float:
    """Seconds that a container without a health check must still run to count as up: one that ends at its start fails ``up --wait``."""
    return SETTLING - (now - state.started_at) / 1e9


def outcome(state: ProcessState, reason: str = "") -> dict[str, object]:
    """The answer to a ``wait``: status, exit code, health and why (``reason`` is "timeout" or the start's error)."""
    return {
        "status": str(state.status),
        "exit_code": state.exit_code,
        "health": str(state.health.status),
        "reason": reason or state.error,
    }
