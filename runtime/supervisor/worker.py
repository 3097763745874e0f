"""The worker: the process that supervises. It answers calls, and takes up what an earlier worker left. Forked by the keeper."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket

from runtime import cgroups, codec
from runtime.errors import RuntimeFailure
from runtime.state import ProcessState, Status
from runtime.store import entries, publication, read_file, remove_file
from runtime.supervisor import removal
from runtime.supervisor.aside import run_aside
from runtime.supervisor.container import ALIVE, Container
from runtime.supervisor.events import Events
from runtime.supervisor.facts import load_facts
from runtime.supervisor.health import kill_leftover
from runtime.supervisor.keeper import Estate
from runtime.supervisor.keeping import Keeping
from runtime.supervisor.loop import Loop, Timer, report_trouble
from runtime.supervisor.methods import Methods
from runtime.supervisor.nameserver import Nameserver
from runtime.supervisor.ports import Ports
from runtime.supervisor.reaping import Reaping
from runtime.supervisor.server import Server
from runtime.supervisor.services import Services

IDLE = 5.0  # seconds without running containers and clients before it leaves
_GONE = 0.2  # and when the project has no containers any more


def serve(estate: Estate, channel: socket.socket) -> None:
    """Supervise until nothing is left to do."""
    estate.show("supervisor")
    run = estate.paths.project_run(estate.project)
    lock = os.open(f"{run}/worker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # waits for a worker that is just dying
    Worker(estate, channel).run()


class Worker:
    """Holds the parts together."""

    def __init__(self, estate: Estate, channel: socket.socket) -> None:
        loop = Loop()
        reaping = Reaping(loop)
        self._estate = estate
        self._loop = loop
        self._idle: Timer | None = None
        self._had_containers = False  # a supervisor may be started before its first container is made
        self.services = Services(
            project=estate.project,
            paths=estate.paths,
            loop=loop,
            keeping=Keeping(loop, estate, channel, reaping.notice),
            reaping=reaping,
            events=Events(estate.paths, estate.project),
            nameserver=Nameserver(loop, estate.paths, estate.project, self._nameserver_moved),
            ports=Ports(loop),
            ended=self._container_ended,
            leave=self.leave,
        )
        self._server = Server(loop, estate.listener, Methods(self.services, self._quiet).dispatch, self._quiet)

    def run(self) -> None:
        """Take up what is there, then turn."""
        self._recover()
        self._quiet()
        self._loop.run()

    def _recover(self) -> None:
        exits = _noted_exits(self._estate.exits)
        for container_id in entries(f"{self._estate.paths.project(self._estate.project)}/containers"):
            try:
                self._recover_one(container_id, exits)
            except (RuntimeFailure, OSError, ValueError, TypeError):  # one that cannot be read must not keep the others from being taken up
                report_trouble()
        self.services.keeping.drop_strangers({i for i, c in self.services.containers.items() if c.is_busy})
        remove_file(self._estate.exits)

    def _recover_one(self, container_id: str, exits: dict[tuple[int, int], int]) -> None:
        directory = self.services.directory(container_id)
        text = read_file(f"{directory}/state.json")
        if text is None or len(container_id) != 64:
            return
        state = codec.loads(ProcessState, text)
        if state.status not in (*ALIVE, Status.RESTARTING) and not state.pid:
            if state.status == Status.EXITED and b'"auto_remove":true' in (read_file(f"{directory}/spec.json") or b""):
                self._container_ended(Container(self.services, load_facts(directory), state))  # its removal was cut short
            return
        container = self.services.containers[container_id] = Container(self.services, load_facts(directory), state)
        kill_leftover(f"{self._estate.paths.project_run(self._estate.project)}/io/{container_id}/probe")
        if not state.pid:
            self._clear_cgroup(container)
            container.wait_for_restart()
            return
        try:
            container.adopt()
        except ProcessLookupError:
            container.bury(exits.get((state.pid, state.pid_start)))

    @staticmethod
    def _clear_cgroup(container: Container) -> None:
        """Kill what the dead worker was just starting: its process was forked, but never written down."""
        cgroups.find(container.facts.cgroup).remove()

    def _container_ended(self, container: Container) -> None:
        facts = container.facts
        if facts.auto_remove:
            self.services.containers.pop(facts.id, None)
            run_aside(self.services.reaping, lambda: removal.remove(self._estate.paths, self._estate.project, facts), self._quiet)
            self.services.events.emit("destroy", facts)
        elif facts.ports:
            ended = publication(facts.directory)
            run_aside(self.services.reaping, lambda: removal.unpublish(self._estate.paths, facts, ended))
        self._quiet()

    def _nameserver_moved(self, network: str, gateway: str) -> None:
        run_aside(self.services.reaping, lambda: removal.move_nameserver(self._estate.paths, network, gateway))

    def _quiet(self) -> None:
        """Something came to rest: leave in a while, unless something begins before."""
        self._had_containers = self._had_containers or bool(self.services.containers)
        gone = self._had_containers and not self._has_containers()
        if self._idle is None and not self._is_busy():
            self._idle = self._loop.after(_GONE if gone else IDLE, self._leave_if_idle)
        elif self._idle is not None and gone:
            self._idle.cancel()
            self._idle = self._loop.after(_GONE, self._leave_if_idle)

    def _has_containers(self) -> bool:
        return any(len(name) == 64 for name in entries(f"{self._estate.paths.project(self._estate.project)}/containers"))

    def _is_busy(self) -> bool:
        return bool(self._server.connections) or any(c.is_busy for c in self.services.containers.values())

    def _leave_if_idle(self) -> None:
        self._idle = None
        if not self._is_busy():
            self.leave()
        # else: the last client or container to go asks again

    def leave(self) -> None:
        """End supervisor and keeper. Who connects this very moment is hung up on, and starts the next supervisor."""
        run = self._estate.paths.project_run(self._estate.project)
        remove_file(f"{run}/supervisor.sock")
        if not os.path.getsize("/proc/self/fd/2"):
            remove_file(f"{run}/supervisor.log")
        with contextlib.suppress(OSError):
            os.rmdir(f"{run}/io")
        self.services.keeping.leave()
        self._loop.stop()


def _noted_exits(path: str) -> dict[tuple[int, int], int]:
    """What the keeper wrote down: wait status by pid and start time."""
    rows = (line.split() for line in (read_file(path) or b"").splitlines())
    return {(int(r[0]), int(r[1])): int(r[2]) for r in rows if len(r) == 4}
