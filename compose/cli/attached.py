"""Attached ``up``: output flows while the plan is carried out, until all monitored containers have ended or the user stops them.

The plan runs in the main thread (signals arrive there), the output in another. The first Ctrl-C stops, the second kills.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import field, replace

from compose.cli import listing, output
from compose.cli.change import Change, carry_out
from compose.cli.following import Ended, Following, label
from compose.cli.lines import LinePrinter
from compose.cli.progress import never
from compose.cli.project import refuse_undefined
from compose.errors import UsageError
from compose.events import Event, StepStarted
from compose.intent import Kill, Stop
from compose.model import Project
from compose.plan import AwaitContainer, CreateContainer, Plan, RemoveContainer, RenameContainer, StartContainer
from runtime import observe
from runtime.record import dataclass
from runtime.spec import ContainerSpec
from runtime.state import ContainerState, Snapshot

INTERRUPTED = 130
_POLL = 0.1
_LAST_LINES = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Services: ``shown`` have their output printed, ``monitored`` ones are waited for, ``named`` ones are stopped at the end (none: all)."""

    shown: frozenset[str]
    monitored: frozenset[str]
    named: tuple[str, ...]

    @classmethod
    def of(
        cls, project: Project, named: Sequence[str], *, attach: Sequence[str], no_attach: Sequence[str], with_dependencies: bool
    ) -> Selection:
        """Read the flags of ``up``. Raises UsageError for services that are not part of it."""
        defined = {**project.services, **project.disabled_services}
        refuse_undefined(named, defined)
        if unknown := [s for s in attach if s not in defined]:
            raise UsageError(f"cannot attach to services not included in up: {', '.join(unknown)}")
        chosen = set(attach) or {s for s in _scope(project, named, with_dependencies) if defined[s].attach}
        shown = frozenset(chosen - set(no_attach))
        return cls(shown=shown, monitored=frozenset(named) or shown, named=tuple(named))


def _scope(project: Project, named: Sequence[str], with_dependencies: bool) -> Iterable[str]:
    if not named:
        return project.services
    if not with_dependencies:
        return named
    from compose import graph

    return graph.closure(graph.enable(project, tuple(named)), named)


@dataclass(slots=True)
class _Outcome:
    """What the output's thread found out: all codes by service, the first that ended, and whether to abort."""

    codes: dict[str, int] = field(default_factory=dict)
    first: int | None = None
    abort: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None


class Attached:
    """One attached ``up``."""

    def __init__(
        self,
        change: Change,
        printer: LinePrinter,
        selection: Selection,
        *,
        abort_on_exit: bool = False,
        abort_on_failure: bool = False,
        exit_code_from: str | None = None,
        timeout: float | None = None,
    ) -> None:
        self.change = replace(change, muted=lambda step: step.doing in ("Starting", "Waiting"), planned=self._planned, watch=self._watch)
        self.selection = selection
        self.abort_on_exit = abort_on_exit
        self.abort_on_failure = abort_on_failure
        self.exit_code_from = exit_code_from
        self.timeout = timeout
        self._printer = printer
        self._outcome = _Outcome()
        self._following = Following(change.project.name, printer, chosen=self._wanted, ended=self._ended, since=time.time_ns())
        self._monitored: set[str] = set()
        self._shown: dict[str, str] = {}
        self._announced = False
        self._complete = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def run(self) -> int:
        """Carry the plan out and stay; returns the exit code. Errors of the plan are raised after the output is shown."""
        try:
            carry_out(self.change)
            self._announce()
            self._complete.set()
            self._wait()
        except KeyboardInterrupt:
            return self._interrupted()
        finally:
            self._close()
        if self._outcome.failure is not None:
            raise self._outcome.failure
        return self._exit_code()

    def _wait(self) -> None:
        """Until every monitored container has ended, or one has that ends all."""
        while self._thread.is_alive() and not self._outcome.abort.wait(_POLL):
            continue
        if self._outcome.abort.is_set():
            output.note(output.styled("Aborting on container exit...", output.RED, output.BOLD))
            self._stop(Stop(services=self.selection.named, timeout=self.timeout))

    def _interrupted(self) -> int:
        output.data("Gracefully Stopping... press Ctrl+C again to force")
        output.flush()
        self._complete.set()
        try:
            self._stop(Stop(services=self.selection.named, timeout=self.timeout))
            self._drain()
        except KeyboardInterrupt:
            self._stop(Kill(services=self.selection.named))
            self._drain()
        return INTERRUPTED

    def _stop(self, intent: Stop | Kill) -> None:
        carry_out(replace(self.change, intent=intent, title="stop", muted=never, planned=lambda _, __: None, watch=lambda _: None))

    def _drain(self) -> None:
        """Let the last lines come."""
        self._thread.join(_LAST_LINES) if self._thread.is_alive() else None

    def _close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_LINES)

    def _exit_code(self) -> int:
        if self.exit_code_from is not None:
            return self._outcome.codes.get(self.exit_code_from, self._last_code(self.exit_code_from))
        return (self._outcome.first or 0) if self._outcome.abort.is_set() else 0

    def _last_code(self, service: str) -> int:
        states = observe.containers(self.change.project.name)
        return next((s.process.exit_code for s in states if listing.service(s) == service and not listing.is_oneoff(s)), 0)

    def _planned(self, snapshot: Snapshot, plan: Plan) -> None:
        """Know, before anything is done, what will run: what is left as it is and what is started."""
        there = {s.spec.id: s for s in snapshot.containers}
        specs = {i: s.spec for i, s in there.items()}
        started = set()
        for operation in (s.operation for s in plan.steps):
            match operation:
                case CreateContainer(spec=spec):
                    specs[spec.id] = spec
                case RenameContainer(container=container, name=name) if container in specs:
                    specs[container] = replace(specs[container], name=name)
                case RemoveContainer(container=container):
                    specs.pop(container, None)
                case StartContainer(container=container):
                    started.add(container)
                case _:
                    continue
        running = {i for i, s in there.items() if s.running}
        self._shown.clear()  # an attempt before this one, in conflict with another command, may have planned other containers
        self._monitored.clear()
        self._remember([s for i, s in specs.items() if i in started | running])
        for container_id in (running & specs.keys()) - started:
            if container_id in self._shown or container_id in self._monitored:
                self._following.add(there[container_id], tail=0)

    def _remember(self, specs: Iterable[ContainerSpec]) -> None:
        for state in listing.by_number(ContainerState(spec=s) for s in specs):
            service = listing.service(state)
            if listing.is_oneoff(state):
                continue
            if service in self.selection.shown:
                self._shown[state.spec.id] = label(state)
            else:
                self._printer.hide(state.spec.id)
            if service in self.selection.monitored:
                self._monitored.add(state.spec.id)

    def _watch(self, event: Event) -> None:
        if isinstance(event, StepStarted) and isinstance(event.step.operation, StartContainer | AwaitContainer):
            self._announce()

    def _announce(self) -> None:
        if self._announced:
            return
        self._announced = True
        for container_id, name in self._shown.items():
            self._printer.register(container_id, name)  # all at once, so that prefixes do not grow on the way
        output.data(f"Attaching to {', '.join(self._shown.values())}")
        output.flush()
        self._thread.start()

    def _wanted(self, state: ContainerState) -> bool:
        return not listing.is_oneoff(state) and (listing.service(state) in self.selection.shown or state.spec.id in self._monitored)

    def _ended(self, end: Ended) -> None:
        if not end.restarting:
            self._monitored.discard(end.container)
        if self.abort_on_exit or not end.restarting:
            self._outcome.codes.setdefault(end.service, end.code)
        if self.abort_on_exit or (self.abort_on_failure and end.code):
            if self._outcome.first is None:
                self._outcome.first = end.code
            self._outcome.abort.set()

    def _follow(self) -> None:
        """The output's thread."""
        try:
            while not self._done():
                self._following.advance(_POLL)
            self._following.close()
        except Exception as failure:
            self._outcome.failure = failure

    def _done(self) -> bool:
        return self._closing.is_set() or (self._complete.is_set() and not self._monitored)
