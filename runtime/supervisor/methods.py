"""The calls that the supervisor answers; see the argument names in each. In the supervisor's worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime import codec
from runtime.errors import InUse, RuntimeFailure
from runtime.state import Health, ProcessState, Status
from runtime.store import read_file
from runtime.supervisor import conditions, stopping
from runtime.supervisor.attached import Attached
from runtime.supervisor.container import Container
from runtime.supervisor.events import Event
from runtime.supervisor.facts import load_facts, signal_number
from runtime.supervisor.protocol import line
from runtime.supervisor.streams import remove_directory

if TYPE_CHECKING:
    from runtime.supervisor.loop import Timer
    from runtime.supervisor.server import Request
    from runtime.supervisor.services import Services


class Methods:
    """One method per call; ``quiet`` is told when a call may have left nothing to do."""

    def __init__(self, services: Services, quiet: Callable[[], None]) -> None:
        self._services = services
        self._quiet = quiet
        self._table: dict[str, Callable[[Request], None]] = {
            name: getattr(self, f"_{name}")
            for name in (
                "ping", "start", "stop", "restart", "kill", "pause", "unpause", "remove", "wait", "subscribe", "attach", "resize",
                "refresh", "shutdown",
            )
        }  # fmt: skip

    def dispatch(self, request: Request) -> None:
        """Carry a request out, or begin to. Raises RuntimeFailure."""
        method = self._table.get(request.method)
        if method is None:
            raise RuntimeFailure(
                f"the supervisor knows no call {request.method}", hint="it may be older than this command: pycompose restart"
            )
        method(request)

    def _ping(self, request: Request) -> None:
        request.answer()

    def _start(self, request: Request) -> None:
        """id"""
        container = self._container(request.text("id"))
        container.start(lambda failure: self._started(request, container, failure))

    def _started(self, request: Request, container: Container, failure: RuntimeFailure | None) -> None:
        if failure is not None:
            request.refuse(failure)
        else:
            request.answer(conditions.outcome(container.state))

    def _stop(self, request: Request) -> None:
        """id, timeout (seconds or None), signal (name or None)"""
        number = request.arguments.get("signal")
        stopping.stop(
            self._services,
            self._container(request.text("id")),
            timeout=request.number("timeout"),
            number=None if number is None else signal_number(str(number)),
            done=request.settle,
        )

    def _restart(self, request: Request) -> None:
        """id, timeout"""
        container = self._container(request.text("id"))

        def start(failure: RuntimeFailure | None) -> None:
            if failure is not None:
                request.refuse(failure)
                return
            self._services.events.emit("restart", container.facts)
            container.start(lambda f: self._started(request, container, f))

        stopping.stop(self._services, container, timeout=request.number("timeout"), number=None, done=start)

    def _kill(self, request: Request) -> None:
        """id, signal"""
        number = signal_number(str(request.arguments.get("signal") or "SIGKILL"))
        container = self._container(request.text("id"))
        container.after_launch(lambda: self._kill_now(request, container, number))

    def _kill_now(self, request: Request, container: Container, number: int) -> None:
        try:
            stopping.kill(self._services, container, number, request.settle)
        except RuntimeFailure as failure:
            request.refuse(failure)

    def _pause(self, request: Request) -> None:
        """id"""
        stopping.pause(self._container(request.text("id")))
        request.answer()

    def _unpause(self, request: Request) -> None:
        """id"""
        stopping.resume(self._container(request.text("id")))
        request.answer()

    def _remove(self, request: Request) -> None:
        """id: forget a stopped container"""
        container_id = request.text("id")
        container = self._services.containers.get(container_id)
        if container is not None and container.is_busy:
            raise InUse(f"cannot remove container {container.facts.name}: it is running", hint="stop it first, or use force")
        if container is None and read_file(f"{self._services.directory(container_id)}/spec.json") is not None:
            container = self._container(container_id)
        if container is not None:
            self._services.events.emit("destroy", container.facts)
            self._services.containers.pop(container_id, None)
        remove_directory(f"{self._services.paths.project_run(self._services.project)}/io/{container_id}")
        request.answer()
        self._quiet()

    def _wait(self, request: Request) -> None:
        """id, condition (started, healthy, completed, running_or_healthy, exited), timeout (seconds or None)"""
        wanted = request.text("condition")
        condition = next((c for c in conditions.CONDITIONS if c == wanted), None)
        if condition is None:
            raise RuntimeFailure(f"wait: unknown condition {wanted}", hint=f"one of {', '.join(conditions.CONDITIONS)}")
        _Waiting(self._services, self._container(request.text("id")), condition, request)

    def _subscribe(self, request: Request) -> None:
        """ids (list or None): events follow, one line each"""
        ids = request.arguments.get("ids")
        chosen = set(ids) if isinstance(ids, list) else None
        connection = request.connection

        def tell(event: Event) -> None:
            if chosen is None or event["id"] in chosen:
                connection.send(line(event))

        self._services.events.subscribers.append(tell)
        connection.on_close.append(lambda: self._services.events.subscribers.remove(tell))
        request.answer()

    def _attach(self, request: Request) -> None:
        """id, stdin_once: the connection becomes the container's streams"""
        container = self._container(request.text("id"))
        request.answer({"terminal": container.facts.tty})
        Attached(container, request.connection, stdin_once=bool(request.arguments.get("stdin_once")))

    def _resize(self, request: Request) -> None:
        """id, rows, cols"""
        container = self._container(request.text("id"))
        container.resize(int(request.number("rows") or 0), int(request.number("cols") or 0))
        request.answer()

    def _refresh(self, request: Request) -> None:
        """id: its spec was rewritten (networks, name)"""
        self._container(request.text("id")).reload()
        request.answer()

    def _shutdown(self, request: Request) -> None:
        """Leave soon, unless something runs."""
        if any(c.is_busy for c in self._services.containers.values()):
            raise InUse("containers are running")
        request.answer()
        self._services.loop.after(0, self._services.leave)

    def _container(self, container_id: str) -> Container:
        """The container, read from disk at its first mention. Raises NotFound."""
        container = self._services.containers.get(container_id)
        if container is None:
            directory = self._services.directory(container_id)
            facts = load_facts(directory)
            text = read_file(f"{directory}/state.json")
            state = ProcessState() if text is None else codec.loads(ProcessState, text)
            container = self._services.containers[container_id] = Container(self._services, facts, state)
            if text is None:
                self._services.events.emit("create", facts, when=int(read_file(f"{directory}/created") or 0))
        return container


class _Waiting:
    """One ``wait`` under way."""

    def __init__(self, services: Services, container: Container, condition: conditions.Condition, request: Request) -> None:
        self._container = container
        self._condition = condition
        self._request = request
        self._loop = services.loop
        self._timers: list[Timer] = []
        if conditions.is_decided(condition, container.state, time.time_ns()):
            request.answer(conditions.outcome(container.state))
            return
        timeout = request.number("timeout")
        if timeout is not None:
            self._timers.append(services.loop.after(timeout, lambda: self._finish("timeout")))
        container.observers.append(self._look)
        request.connection.on_close.append(self._forget)
        self._look()

    def _look(self) -> None:
        state, now = self._container.state, time.time_ns()
        if conditions.is_decided(self._condition, state, now):
            self._finish("")
        elif self._condition == "running_or_healthy" and state.status == Status.RUNNING and state.health.status == Health.NONE:
            self._timers.append(self._loop.after(conditions.settles_in(state, now), self._look))

    def _finish(self, reason: str) -> None:
        self._forget()
        self._request.answer(conditions.outcome(self._container.state, reason))

    def _forget(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._look in self._container.observers:
            self._container.observers.remove(self._look)
