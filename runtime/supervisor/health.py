"""Running a container's health check: timers, probes in the container, their output and their time limit. In the supervisor's worker."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime import enter
from runtime.errors import RuntimeFailure
from runtime.sandbox import Launching, Stdio
from runtime.spec import ExecSpec
from runtime.state import HealthState
from runtime.store import remove_file, write_atomic
from runtime.supervisor import health_policy
from runtime.supervisor.facts import load_bundle
from runtime.supervisor.health_policy import Check
from runtime.supervisor.keeper import start_time
from runtime.supervisor.reaping import exit_code

if TYPE_CHECKING:
    from runtime.supervisor.loop import Timer
    from runtime.supervisor.services import Services


class Probing:
    """The health check of one run of a container. ``report`` gets each new state; ``began`` is the container's start (ns since the epoch)."""

    def __init__(self, services: Services, container_id: str, check: Check, pid: int, began: int, health: HealthState) -> None:
        self.health = health
        self.report: Callable[[HealthState], None] = lambda _: None
        self._services = services
        self._id = container_id
        self._check = check
        self._pid = pid
        self._began = began
        self._timer: Timer | None = None
        self._probe: Probe | None = None

    def start(self) -> None:
        """Probe after the first interval, and then an interval after each probe's end."""
        self._timer = self._services.loop.after(health_policy.next_probe(self._check, self.health, self._running_for()), self._begin)

    def stop(self) -> None:
        """Probe no more; a probe under way is killed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._probe is not None:
            self._probe.abandon()
            self._probe = None

    def _running_for(self) -> float:
        return (time.time_ns() - self._began) / 1e9

    def _begin(self) -> None:
        running_for = self._running_for()
        self._probe = Probe(self._services, self._id, self._check, self._pid, lambda code, output: self._judge(code, output, running_for))
        self._probe.begin()

    def _judge(self, code: int, output: str, running_for: float) -> None:
        self._probe = None
        self.health = health_policy.judged(
            self._check, self.health, exit_code=code, output=output, running_for=running_for, end=time.time_ns()
        )
        self.start()
        self.report(self.health)


class Probe:
    """One run of the check. ``done(exit code, output)`` is called once, unless it is abandoned; -1 is for what Docker calls so: no result."""

    def __init__(self, services: Services, container_id: str, check: Check, pid: int, done: Callable[[int, str], None]) -> None:
        self._services = services
        self._check = check
        self._container = container_id
        self._container_pid = pid
        self._done: Callable[[int, str], None] | None = done
        self._output = bytearray()
        self._pipe = -1
        self._pid = 0
        self._late = False
        self._limit: Timer | None = None

    def begin(self) -> None:
        """Start the check's process."""
        self._pipe, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        try:
            bundle = load_bundle(self._services.directory(self._container))
            launching = enter.begin(self._container_pid, bundle, ExecSpec(argv=self._check.argv), Stdio(-1, theirs, theirs))
        except (RuntimeFailure, OSError) as error:
            self._finish(-1, str(error))
            return
        finally:
            os.close(theirs)
        self._pid = launching.pid
        write_atomic(self._note(), f"{self._pid} {start_time(self._pid)}")
        self._limit = self._services.loop.after(self._check.timeout, self._expire)
        self._services.loop.watch(self._pipe, self._collect)
        self._services.loop.watch(launching.fileno(), lambda _: self._launched(launching))

    def abandon(self) -> None:
        """Kill it and report nothing."""
        self._done = None
        self._kill()

    def _launched(self, launching: Launching) -> None:
        self._services.loop.forget(launching.fileno())
        try:
            launched = launching.finish()
        except (RuntimeFailure, ChildProcessError) as error:
            self._pid = 0
            self._finish(-1, str(error))
            return
        self._services.reaping.expect(launched.pid, launched.pidfd, self._ended)
        if self._late or self._done is None:
            self._kill()

    def _collect(self, _: int) -> None:
        """Read and keep the end of the output; the writer must never block, nor fill our memory."""
        try:
            data = os.read(self._pipe, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._services.loop.forget(self._pipe)
        self._output += data
        del self._output[: -health_policy.LONGEST_OUTPUT]

    def _ended(self, status: int) -> None:
        self._pid = 0
        if self._pipe >= 0:
            self._collect(0)
        output = self._output.decode(errors="replace")
        if self._late:
            self._finish(-1, f"Health check exceeded timeout ({self._check.timeout:g}s): {output}")
        else:
            self._finish(exit_code(status), output)

    def _expire(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        for pid in (*descendants(self._pid), self._pid) if self._pid else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _finish(self, code: int, output: str) -> None:
        if self._limit is not None:
            self._limit.cancel()
        if self._pipe >= 0:
            self._services.loop.forget(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
        remove_file(self._note())
        done, self._done = self._done, None
        if done is not None:
            done(code, output)

    def _note(self) -> str:
        """Where the process is written down, so that the next worker can kill it."""
        return f"{self._services.paths.project_run(self._services.project)}/io/{self._container}/probe"


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs (/proc/<pid>/task/<tid>/children), the youngest first."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(c) for c in file.read().split()]
    except OSError:
        return []
    return [d for child in children for d in (*descendants(child), child)]


def kill_leftover(note: str) -> None:
    """Kill the probe that an earlier worker wrote down in ``note``, if it lives."""
    with contextlib.suppress(OSError, ValueError):
        with open(note) as file:
            pid, started = (int(n) for n in file.read().split())
        if start_time(pid) == started:
            os.kill(pid, signal.SIGKILL)
        remove_file(note)
