"""What a health check is and what a probe's result means: Docker's rules. Pure."""

from __future__ import annotations

from runtime.record import dataclass
from runtime.spec import HealthcheckSpec
from runtime.state import Health, HealthState

INTERVAL = 30.0
TIMEOUT = 30.0
START_INTERVAL = 5.0
RETRIES = 3
LONGEST_OUTPUT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A health check with every value settled. Seconds."""

    argv: tuple[str, ...]
    interval: float = INTERVAL
    timeout: float = TIMEOUT
    retries: int = RETRIES
    start_period: float = 0.0
    start_interval: float = START_INTERVAL


def resolve_check(own: HealthcheckSpec | None, image: HealthcheckSpec | None, shell: tuple[str, ...]) -> Check | None:
    """The check in force: the container's values over the image's over Docker's defaults, where 0 counts as not given; None for none."""
    own, image = own or HealthcheckSpec(), image or HealthcheckSpec()
    argv = _argv(own.test or image.test or (), shell)
    if not argv:
        return None
    return Check(
        argv=argv,
        interval=own.interval or image.interval or INTERVAL,
        timeout=own.timeout or image.timeout or TIMEOUT,
        retries=own.retries or image.retries or RETRIES,
        start_period=own.start_period or image.start_period or 0.0,
        start_interval=own.start_interval or image.start_interval or START_INTERVAL,
    )


def next_probe(check: Check, health: HealthState, running_for: float) -> float:
    """Seconds until the next probe: the start interval while still starting within the start period."""
    starting = health.status == Health.STARTING and running_for < check.start_period
    return check.start_interval if starting else check.interval


def judged(check: Check, health: HealthState, *, exit_code: int, output: str, running_for: float, end: int) -> HealthState:
    """The health after a probe that began ``running_for`` seconds after the container's start and ended at ``end`` (ns since the epoch)."""
    status, streak = health.status, health.failing_streak
    if exit_code == 0:
        status, streak = Health.HEALTHY, 0
    elif not (status == Health.STARTING and running_for < check.start_period):
        streak += 1
        status = Health.UNHEALTHY if streak >= check.retries else status
    return HealthState(status=status, failing_streak=streak, last_exit_code=exit_code, last_output=output[-LONGEST_OUTPUT:], last_end=end)


def _argv(test: tuple[str, ...], shell: tuple[str, ...]) -> tuple[str, ...]:
    match test:
        case () | ("NONE", *_):
            return ()
        case ("CMD", *words):
            return tuple(words)
        case ("CMD-SHELL", *words):
            return (*(shell or ("/bin/sh", "-c")), " ".join(words))
        case _:
            return tuple(test)
