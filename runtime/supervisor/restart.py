"""When a container that exited is started again: Docker's policies and back-off. Pure."""

from __future__ import annotations

from runtime.spec import RestartPolicy

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
SETTLED_AFTER = 10.0


def should_restart(policy: RestartPolicy, exit_code: int, restart_count: int, *, stopped_by_user: bool) -> bool:
    """Whether the policy asks for a start after this exit (``docker run --restart``)."""
    if stopped_by_user:
        return False
    match policy.name:
        case "always" | "unless-stopped":
            return True
        case "on-failure":
            return exit_code != 0 and (policy.maximum_retry_count == 0 or restart_count < policy.maximum_retry_count)
        case "no":
            return False


def next_delay(previous: float, ran_for: float) -> float:
    """Seconds to wait: 0.1 at first and after ten good seconds, then twice the ``previous`` wait, at most a minute."""
    if previous <= 0 or ran_for >= SETTLED_AFTER:
        return FIRST_DELAY
    return min(previous * 2, LONGEST_DELAY)
