"""Progress of a plan on stderr: live on a terminal, a line per transition otherwise, JSON, or nothing. In the command's process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, assert_never

from compose.cli import output
from compose.cli.options import GlobalOptions
from compose.events import Event, StepDone, StepError, StepProgress, StepSkipped, StepStarted
from compose.plan import Step

if TYPE_CHECKING:
    from compose.cli.build_progress import BuildDisplay
    from runtime.engine.build import BuildEvent

    Builds = Callable[[str, BuildEvent], None]


Muted = Callable[[Step], bool]


def never(_: Step) -> bool:
    """Every step is shown."""
    return False


class Display(Protocol):
    """Shows what happens to resources ("Container web-1"); ``status`` is Working, Done, Warning or Error."""

    def show(self, resource: str, status: str, text: str, *, current: int = 0, total: int = 0) -> None:
        """Say one transition, or how far it is."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Progress:
    """Turns events into what a display shows. ``with progress.opened(options, "up") as report: execute(plan, engine, report)``."""

    def __init__(self, display: Display, *, builds: Builds | None = None, muted: Muted = never) -> None:
        self.display = display
        self.builds = builds
        self.muted = muted
        self._warned: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Show one event; muted steps (attached ``up`` says nothing of starting) and silent ones are passed over.

        A warning about a resource ("Resource is still in use") is the last word on it.
        """
        match event:
            case StepStarted(step=step):
                if step.resource and step.doing and not self.muted(step):
                    self.display.show(step.resource, "Working", step.doing)
            case StepDone(step=step):
                if step.resource and step.done and not self.muted(step) and step.resource not in self._warned:
                    self.display.show(step.resource, "Done", step.done)
            case StepError(step=step, message=message, conflict=conflict):
                if step.resource and not conflict and not self.muted(step):
                    self.display.show(step.resource, "Error", "Error" if step.resource.startswith("Container") else f"Error {message}")
            case StepProgress():
                status = "Warning" if event.warning else "Working"
                self._warned.update([event.resource] if event.warning else ())
                self.display.show(event.resource, status, event.text, current=event.current, total=event.total)
            case StepSkipped():
                return
            case _:
                assert_never(event)

    def notes(self, notes: Iterable[tuple[str, str]]) -> None:
        """Show resources that need nothing ("Container web-1", "Running")."""
        for resource, text in notes:
            self.display.show(resource, "Done", text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.display.close()


def opened(options: GlobalOptions, title: str, *, muted: Muted = never, quiet: bool = False) -> Progress:
    """The progress that ``--progress`` asks for; ``auto`` is live when stderr is a terminal."""
    mode = "quiet" if quiet else options.progress
    if mode == "auto":
        mode = "tty" if output.coloured(sys.stderr) and sys.stderr.isatty() else "plain"
    return Progress(_display(mode, title), builds=None if mode == "tty" else _BuildLines(options, quiet=mode == "quiet"), muted=muted)


class _BuildLines:
    """Output of builds in BuildKit's form, loaded when there is some."""

    def __init__(self, options: GlobalOptions, *, quiet: bool) -> None:
        self._options = options
        self._quiet = quiet
        self._display: BuildDisplay | None = None

    def __call__(self, service: str, event: BuildEvent) -> None:
        if self._display is None:
            from compose.cli.build_progress import opened as opened_builds

            self._display = opened_builds(self._options, quiet=self._quiet)
        self._display.show(service, event)


def _display(mode: str, title: str) -> Display:
    match mode:
        case "tty":
            from compose.cli.live import LiveDisplay

            return LiveDisplay(title)
        case "json":
            return JsonDisplay()
        case "quiet":
            return QuietDisplay()
        case _:
            return PlainDisplay()


class PlainDisplay:
    """One line per transition; counters are left out, equal lines said once."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def show(self, resource: str, status: str, text: str, *, current: int = 0, total: int = 0) -> None:
        """Print the line unless it is what was said last."""
        if (total and self._last.get(resource)) or self._last.get(resource) == text:
            return
        self._last[resource] = text
        _line(f" {resource}  {text}")

    def close(self) -> None:
        """Nothing to restore."""


class JsonDisplay:
    """One JSON object per line, for programs."""

    def show(self, resource: str, status: str, text: str, *, current: int = 0, total: int = 0) -> None:
        """Print the object."""
        record: dict[str, object] = {"id": resource, "status": status, "text": text}
        if total:
            record |= {"current": current, "total": total, "percent": min(100, 100 * current // total)}
        _line(json.dumps(record, ensure_ascii=False))

    def close(self) -> None:
        """Nothing to restore."""


class QuietDisplay:
    """Says nothing."""

    def show(self, resource: str, status: str, text: str, *, current: int = 0, total: int = 0) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing to restore."""


def _line(text: str) -> None:
    if os.environ.get("COMPOSE_STATUS_STDOUT", "").lower() in ("1", "true"):
        output.data(text)
        output.flush()
    else:
        output.note(text)
