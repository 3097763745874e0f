"""Following the output of a project's containers, those that come later too, until told to stop or all have ended. In the command's process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from compose.cli import listing, output
from compose.cli.journal import Journal
from compose.cli.lines import LinePrinter
from runtime import observe
from runtime.record import dataclass
from runtime.state import ContainerState, Status

_PAUSE = 0.1
_SETTLE = 1.0
_CHECK = 1.0


@dataclass(slots=True)
class Ended:
    """A container that has ended: its service, exit code, and whether it will be started again."""

    container: str
    service: str
    code: int
    restarting: bool


class Following:
    """Prints lines of chosen containers as they come, and a notice when one ends. ``advance`` again and again, from one thread.

    ``chosen`` says whether a container that starts is wanted; ``ended`` is told of every end. Lines before ``since`` and after ``until``
    (ns since the epoch) are left out.
    """

    def __init__(
        self,
        project: str,
        printer: LinePrinter,
        *,
        chosen: Callable[[ContainerState], bool],
        ended: Callable[[Ended], None] = lambda _: None,
        since: int = 0,
        until: int | None = None,
    ) -> None:
        self.project = project
        self.printer = printer
        self.chosen = chosen
        self.ended = ended
        self.since = since
        self.until = until
        self._live: dict[str, ContainerState] = {}
        self._next_check = 0.0
        self._journal = Journal(project)
        self._follower = observe.follow_logs()

    @property
    def live(self) -> frozenset[str]:
        """Ids of the followed containers that have not ended."""
        return frozenset(self._live)

    def add(self, state: ContainerState, *, tail: int | None = None, since: int | None = None) -> None:
        """Follow a container from its last ``tail`` lines or from ``since`` (ns) on."""
        self.printer.register(state.spec.id, label(state))
        directory = observe.log_directory(self.project, state.spec.id)
        try:
            self._follower.add(state.spec.id, directory, tail=tail, since=self.since if since is None else since)
        except OSError:  # never started: it will be added by its start
            return
        self._live[state.spec.id] = state

    def advance(self, timeout: float = _PAUSE) -> None:
        """Wait at most ``timeout`` seconds for lines, print them, and take notice of starts and ends."""
        self._follower.wait(timeout)
        events = list(self._journal.new())
        self._print_ready()
        self._take(events)
        self._check()

    def close(self) -> None:
        """Print what is left and give the descriptors back."""
        for container_id in list(self._live):
            self._finish(container_id)
        self._follower.close()

    def _take(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            if event["action"] == "start":
                self._started(event["id"])
            elif event["action"] == "die":
                self._died(event["id"], int(event["attributes"].get("exitCode", 0)), int(event["time"]))

    def _print_ready(self) -> None:
        for key, line in self._follower.ready():
            if self.until is None or line.time_ns <= self.until:
                self.printer.line(key, line)
        output.flush()

    def _started(self, container_id: str) -> None:
        if container_id in self._live:
            return
        state = observe.container(self.project, container_id)
        if state is not None and self.chosen(state):
            self.add(state)

    def _died(self, container_id: str, code: int, when: int) -> None:
        state = self._live.get(container_id)
        if state is None:
            return
        restarting = self._will_restart(container_id, when)
        if not restarting:
            self._finish(container_id)
        self.printer.notice(container_id, f"exited with code {code}{' (restarting)' if restarting else ''}")
        self.ended(Ended(container_id, listing.service(state), code, restarting))

    def _will_restart(self, container_id: str, when: int) -> bool:
        """Whether it is, or will be, started again after its end at ``when``; the event is written a moment before the state."""
        deadline = time.monotonic() + _SETTLE
        while True:
            process = observe.process(self.project, container_id)
            if process.status not in (Status.RUNNING, Status.PAUSED) or process.started_at > when or time.monotonic() > deadline:
                return process.status in (Status.RESTARTING, Status.RUNNING)
            time.sleep(0.002)

    def _finish(self, container_id: str) -> None:
        self._live.pop(container_id, None)
        for key, line in self._follower.finish(container_id):
            self.printer.line(key, line)
        self.printer.finish(container_id)
        output.flush()

    def _check(self) -> None:
        """Now and then, look for ends that nobody wrote down (a killed supervisor, a removed container)."""
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + _CHECK
        gone = [i for i in self._live if observe.process(self.project, i).status in (Status.CREATED, Status.EXITED, Status.DEAD)]
        self._take(self._journal.new())
        for container_id in gone:
            if container_id in self._live:
                self._died(container_id, observe.process(self.project, container_id).exit_code, 0)


def label(state: ContainerState) -> str:
    """How a container is called before its lines: its name without the project's, whole when it was chosen by the user."""
    short = f"{listing.service(state)}{{0}}{listing.number(state)}"
    names = {f"{state.spec.project}{separator}{short.format(separator)}": short.format(separator) for separator in "-_"}
    return names.get(state.spec.name, state.spec.name)
