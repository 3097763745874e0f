"""One container's life: launched, running, paused, stopped, restarted, ended, and adopted by a later worker. In the supervisor's worker.

Every transition is written to ``state.json`` before anybody is told of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime import cgroups, codec, sandbox
from runtime.errors import LaunchError, RuntimeFailure
from runtime.state import Health, HealthState, ProcessState, Status
from runtime.store import write_atomic
from runtime.supervisor import names, restart
from runtime.supervisor.donors import donor_pids
from runtime.supervisor.facts import load_bundle, load_facts
from runtime.supervisor.health import Probing
from runtime.supervisor.keeper import start_time
from runtime.supervisor.logs_open import open_log
from runtime.supervisor.reaping import LOST, exit_code
from runtime.supervisor.streams import Streams

if TYPE_CHECKING:
    from runtime.supervisor.attached import Attached
    from runtime.supervisor.facts import Facts
    from runtime.supervisor.loop import Timer
    from runtime.supervisor.services import Services

Done = Callable[[RuntimeFailure | None], None]
ALIVE = (Status.RUNNING, Status.PAUSED)


class Container:
    """A container of the project. ``observers`` are called after every change of ``state``."""

    def __init__(self, services: Services, facts: Facts, state: ProcessState) -> None:
        self.facts = facts
        self.state = state
        self.streams: Streams | None = None
        self.observers: list[Callable[[], None]] = []
        self.probing: Probing | None = None
        self._services = services
        self._attached: list[Attached] = []
        self._news: list[tuple[str, dict[str, str]]] = []
        self._window = (0, 0)
        self._launching: sandbox.Launching | None = None
        self._starters: list[Done] = []
        self._timer: Timer | None = None
        self._delay = 0.0

    @property
    def is_launching(self) -> bool:
        """Whether a launch is under way whose outcome is unknown."""
        return self._launching is not None

    @property
    def is_busy(self) -> bool:
        """Whether the supervisor must stay for it."""
        return self.is_launching or self.state.status in (*ALIVE, Status.RESTARTING)

    def cgroup(self) -> cgroups.Cgroup:
        """Its cgroup, which exists while it runs."""
        return cgroups.find(self.facts.cgroup)

    def start(self, done: Done) -> None:
        """Launch it unless it runs; ``done`` is told when it has been executed, or why not."""
        if self.state.status == Status.PAUSED:
            done(RuntimeFailure("cannot start a paused container, try unpause instead"))
        elif self.state.status in (Status.RUNNING, Status.RESTARTING):
            done(None)
        else:
            self._starters.append(done)
            if not self.is_launching:
                self._delay = 0.0
                self.state = replace(self.state, restart_count=0, stopped_by_user=False)
                self._launch()

    def after_launch(self, action: Callable[[], None]) -> None:
        """Do something once the launch under way is over, or now."""
        if self.is_launching:
            self._starters.append(lambda _: action())
        else:
            action()

    def cancel_restart(self) -> None:
        """Let the restart that is waited for not happen: the container has ended for good."""
        if self.state.status == Status.RESTARTING and not self.is_launching:
            self._cancel_timer()
            self._end_for_good()

    def attach(self, attached: Attached) -> None:
        """Let somebody hear and speak, in this run or from the next on."""
        self._attached.append(attached)
        if self.streams is not None:
            self.streams.listeners.append(attached)

    def detach(self, attached: Attached) -> None:
        """They left."""
        for audience in (self._attached, self.streams.listeners if self.streams is not None else []):
            if attached in audience:
                audience.remove(attached)
        if self.streams is not None:
            self.streams.continue_output()  # it may have been held up for them

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal, of this run and the next ones."""
        self._window = (rows, columns)
        if self.streams is not None:
            self.streams.resize(rows, columns)

    def set(self, **changes: object) -> None:
        """Change the state: first on disk, then in events, then for observers."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self._write()
        news, self._news = self._news, []
        for action, attributes in news:
            self._services.events.emit(action, self.facts, attributes)
        for observer in self.observers[:]:
            observer()

    def announce(self, action: str, **attributes: str) -> None:
        """An event to be told as soon as the state that goes with it is written."""
        self._news.append((action, attributes))

    def adopt(self) -> None:
        """Take up a process that an earlier worker started; raises ProcessLookupError when it is not there (any more)."""
        pidfd = os.pidfd_open(self.state.pid)
        if start_time(self.state.pid) != self.state.pid_start:
            os.close(pidfd)
            raise ProcessLookupError
        self.streams = self._new_streams()
        self.streams.adopt()
        self._services.ports.reserve(self.facts, insist=False)
        names.publish(self._services.paths, self._services.project, self.facts, unhealthy=self.state.health.status == Health.UNHEALTHY)
        self._services.nameserver.serve(self.facts)
        if self.state.status not in ALIVE:  # the worker died between clone3 and the child's last word; it lives, so it was executed
            self.set(status=Status.RUNNING, started_at=time.time_ns())
        self._watch(pidfd)

    def bury(self, status: int | None) -> None:
        """Record the end of a process that ended while nobody watched; ``status`` is its wait status, where somebody noted it."""
        self.streams = self._new_streams()
        self.streams.adopt()
        self._ended(LOST if status is None else status)
        if status is None:
            self.set(error="the process ended while nobody watched")

    def wait_for_restart(self) -> None:
        """Arm the timer of a restart that the policy asks for."""
        self._timer = self._services.loop.after(self._delay, self._restart)

    def reload(self) -> None:
        """Read the spec again (networks connected, renamed) and let names follow."""
        names.withdraw(self._services.paths, self.facts)
        self.facts = load_facts(self.facts.directory)
        if self.state.status in ALIVE:
            names.publish(self._services.paths, self._services.project, self.facts, unhealthy=self.state.health.status == Health.UNHEALTHY)
            self._services.nameserver.serve(self.facts)

    def start_probing(self) -> None:
        """Begin health checks, when it has one."""
        if self.facts.check is not None:
            state = self.state
            self.probing = Probing(self._services, self.facts.id, self.facts.check, state.pid, state.started_at, state.health)
            self.probing.report = self._set_health
            self.probing.start()

    def stop_probing(self) -> None:
        """End health checks."""
        if self.probing is not None:
            self.probing.stop()
            self.probing = None

    def _new_streams(self) -> Streams:
        streams = Streams(self._services, self.facts.id, open_log(self.facts))
        if self.facts.logging.driver in ("syslog", "journald"):
            from runtime.supervisor.forward import forwarder  # rarely used, so rarely in memory

            streams.written = forwarder(self.facts, f"{self.facts.directory}/logs")
        return streams

    def _launch(self) -> None:
        services = self._services
        try:
            self.facts = load_facts(self.facts.directory)
            bundle, donors = load_bundle(self.facts.directory), donor_pids(services, self.facts.donors)
            services.ports.reserve(self.facts)
            self.streams = self._new_streams()
            self.streams.resize(*self._window)
            stdio = self.streams.open(tty=self.facts.tty, stdin_open=self.facts.stdin_open)
            self.streams.listeners.extend(self._attached)
            try:
                names.publish(services.paths, services.project, self.facts)
                services.nameserver.serve(self.facts)
                launching = sandbox.begin(bundle, stdio, donors)
            finally:
                Streams.close_side(stdio)
        except (RuntimeFailure, OSError) as error:
            self._launch_failed(error)
            return
        self._launching = launching
        self.state = replace(self.state, pid=launching.pid, pid_start=start_time(launching.pid))
        self._write()  # from here on the next worker knows of the process
        services.loop.watch(launching.fileno(), lambda _: self._launched(launching))

    def _launched(self, launching: sandbox.Launching) -> None:
        self._services.loop.forget(launching.fileno())
        self._launching = None
        try:
            launched = launching.finish()
        except (RuntimeFailure, OSError) as error:
            self._launch_failed(error)
            return
        if self.streams is not None:
            if launched.terminal >= 0:
                self.streams.set_terminal(launched.terminal)
            self.streams.begin()
        for attached in self._attached:
            attached.joined()
        health = HealthState(status=Health.STARTING if self.facts.check else Health.NONE)
        self.announce("start")
        self.set(status=Status.RUNNING, started_at=time.time_ns(), finished_at=0, exit_code=0, oom_killed=False, error="", health=health)
        self._watch(launched.pidfd)
        self._tell_starters(None)

    def _launch_failed(self, error: RuntimeFailure | OSError) -> None:
        failure = error if isinstance(error, RuntimeFailure) else LaunchError("start", str(error))
        self._cancel_timer()
        if self.streams is not None:
            self.streams.drain()
            self.streams.close()
            self.streams = None
        self.cgroup().remove()
        status = Status.EXITED if self.state.finished_at else Status.CREATED
        self.state = replace(self.state, pid=0, pid_start=0, exit_code=failure.exit_code, error=failure.message)
        self._end_for_good(status)
        self._tell_starters(failure)

    def _tell_starters(self, failure: RuntimeFailure | None) -> None:
        starters, self._starters = self._starters, []
        for done in starters:
            done(failure)

    def _watch(self, pidfd: int) -> None:
        self._services.reaping.expect(self.state.pid, pidfd, self._ended)
        if self.state.status == Status.RUNNING:
            self.start_probing()

    def _ended(self, status: int) -> None:
        """The first process has ended: save what it said, free what it had, and see whether it is to be started again."""
        self.stop_probing()
        cgroup = self.cgroup()
        oom_killed = cgroup.oom_kills() > 0
        cgroup.remove()
        if self.streams is not None:
            self.streams.drain()
            self.streams.close()
            self.streams = None
        code, now = exit_code(status), time.time_ns()
        health = replace(self.state.health, status=Health.UNHEALTHY) if self.facts.check else self.state.health
        self.state = replace(self.state, pid=0, pid_start=0, exit_code=code, finished_at=now, oom_killed=oom_killed, health=health)
        if oom_killed:
            self.announce("oom")
        self.announce("die", exitCode=str(code), execDuration=str((now - self.state.started_at) // 10**9))
        if restart.should_restart(self.facts.restart, code, self.state.restart_count, stopped_by_user=self.state.stopped_by_user):
            self._plan_restart(now)
        else:
            self._end_for_good()

    def _plan_restart(self, now: int) -> None:
        names.withdraw(self._services.paths, self.facts)
        self._delay = restart.next_delay(self._delay, (now - self.state.started_at) / 1e9)
        self.wait_for_restart()
        self.set(status=Status.RESTARTING)

    def _restart(self) -> None:
        self._timer = None
        self.state = replace(self.state, restart_count=self.state.restart_count + 1)
        self._launch()

    def _end_for_good(self, status: Status = Status.EXITED) -> None:
        names.withdraw(self._services.paths, self.facts)
        self._services.ports.release(self.facts)
        self.set(status=status)
        self._services.nameserver.release(self.facts)
        if status == Status.EXITED:
            self._services.ended(self)

    def _set_health(self, health: HealthState) -> None:
        if health.status != self.state.health.status:
            names.publish(self._services.paths, self._services.project, self.facts, unhealthy=health.status == Health.UNHEALTHY)
            self.announce(f"health_status: {health.status}")
        self.set(health=health)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self) -> None:
        try:
            write_atomic(f"{self.facts.directory}/state.json", codec.dumps(self.state))
        except FileNotFoundError:  # removed under our feet: nothing to remember
            return
