"""Ending and freezing containers: stop with its grace period, kill, pause, unpause. In the supervisor's worker."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from runtime.errors import RuntimeFailure
from runtime.state import Status
from runtime.supervisor.container import ALIVE, Container, Done
from runtime.supervisor.facts import signal_name

if TYPE_CHECKING:
    from runtime.supervisor.loop import Timer
    from runtime.supervisor.services import Services

_ENDING = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT})
_UNKILLABLE = 30.0  # seconds after SIGKILL: the process hangs in the kernel


def stop(services: Services, container: Container, *, timeout: float | None, number: int | None, done: Done) -> None:
    """Stop signal, grace period (seconds; negative is without end), SIGKILL to all its processes; ``done`` is told at its end."""
    if container.is_launching:
        container.after_launch(lambda: stop(services, container, timeout=timeout, number=number, done=done))
        return
    if container.state.status not in (*ALIVE, Status.RESTARTING):
        done(None)
        return
    container.set(stopped_by_user=True)
    if container.state.status == Status.RESTARTING:
        container.announce("stop")
        container.cancel_restart()
        done(None)
        return
    grace = container.facts.grace if timeout is None else timeout
    _Stopping(services, container, grace, done).begin(container.facts.stop_signal if number is None else number)


def kill(services: Services, container: Container, number: int, done: Done) -> None:
    """Send a signal to the first process; ``done`` is told at once, or after its end for SIGKILL. One that ends it cancels restarts."""
    if container.state.status == Status.RESTARTING and number in _ENDING:
        stop(services, container, timeout=0, number=number, done=done)
        return
    if container.state.status not in ALIVE:
        raise RuntimeFailure(f"cannot kill container {container.facts.name}: it is not running")
    if number in _ENDING or number == container.facts.stop_signal:
        container.set(stopped_by_user=True)
    services.events.emit("kill", container.facts, {"signal": str(number)})
    if number == signal.SIGKILL:
        _Stopping(services, container, 0, done, announce=False).force()
        return
    send(container, number)
    if container.state.status == Status.PAUSED and (number in _ENDING or number == container.facts.stop_signal):
        resume(container)
    done(None)


def pause(container: Container) -> None:
    """Freeze. Raises RuntimeFailure when it is paused or not running, with Docker's words."""
    if container.state.status == Status.PAUSED:
        raise RuntimeFailure(f"Container {container.facts.id} is already paused")
    if container.state.status != Status.RUNNING:
        raise RuntimeFailure(f"Container {container.facts.id} is not running")
    container.stop_probing()
    container.cgroup().freeze()
    container.announce("pause")
    container.set(status=Status.PAUSED)


def resume(container: Container) -> None:
    """Thaw. Raises RuntimeFailure when it is not paused."""
    if container.state.status != Status.PAUSED:
        raise RuntimeFailure(f"Container {container.facts.id} is not paused")
    container.cgroup().thaw()
    container.announce("unpause")
    container.set(status=Status.RUNNING)
    container.start_probing()


def send(container: Container, number: int) -> None:
    """A signal to the first process, by pidfd: never to another that got its number."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(container.state.pid)
        try:
            signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


class _Stopping:
    """One stop under way, over when the container's process is."""

    def __init__(self, services: Services, container: Container, grace: float, done: Done, *, announce: bool = True) -> None:
        self._services = services
        self._container = container
        self._grace = grace
        self._done = done
        self._announce = announce
        self._pid = container.state.pid
        self._timer: Timer | None = None
        container.observers.append(self._look)

    def begin(self, number: int) -> None:
        self._services.events.emit("kill", self._container.facts, {"signal": str(number)})
        if self._grace >= 0:
            self._timer = self._services.loop.after(self._grace, self.force)
        send(self._container, number)
        if self._container.state.status == Status.PAUSED:
            resume(self._container)

    def force(self) -> None:
        """SIGKILL to every process."""
        send(self._container, signal.SIGKILL)
        cgroup = self._container.cgroup()
        cgroup.kill(signal.SIGKILL)
        if self._container.state.status == Status.PAUSED:
            cgroup.thaw()  # v1: a frozen process does not even die
        self._timer = self._services.loop.after(_UNKILLABLE, self._give_up)

    def _look(self) -> None:
        if self._container.state.pid != self._pid:
            if self._announce:
                self._services.events.emit("stop", self._container.facts)
            self._finish(None)

    def _give_up(self) -> None:
        text = f"tried to kill container {self._container.facts.name} with {signal_name(signal.SIGKILL)}, but it does not end"
        self._finish(RuntimeFailure(text, hint="a process hangs in the kernel, often on a network file system; see dmesg"))

    def _finish(self, failure: RuntimeFailure | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._look in self._container.observers:
            self._container.observers.remove(self._look)
        self._done(failure)
