"""Builds as people know them from BuildKit: numbered lines when piped, a live list on a terminal, JSON, or nothing. In the command's process."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from dataclasses import field
from typing import Protocol, assert_never

from compose.cli import human, output
from compose.cli.options import GlobalOptions
from runtime.engine.build import BuildEvent, BuildWarning, Progress, StepDone, StepNote, StepOutput, StepStarted
from runtime.record import dataclass

_INTERVAL = 0.1
_LOG_LINES = 6
_CLEAR = "\x1b[K"


class BuildDisplay(Protocol):
    """Shows the events of builds; ``service`` is "" when only one is built."""

    def show(self, service: str, event: BuildEvent) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def opened(options: GlobalOptions, *, quiet: bool = False) -> BuildDisplay:
    """The display that ``--progress`` asks for; ``auto`` is live when stderr is a terminal."""
    mode = "quiet" if quiet else options.progress
    if mode == "auto":
        mode = "tty" if sys.stderr.isatty() and output.coloured(sys.stderr) else "plain"
    match mode:
        case "tty":
            return LiveBuilds()
        case "json":
            return JsonBuilds()
        case "quiet":
            return QuietBuilds()
        case _:
            return PlainBuilds()


def of_service(display: BuildDisplay, service: str) -> Progress:
    """A callback for one build's events."""
    return lambda event: display.show(service, event)


def titled(service: str, name: str) -> str:
    """A step's name with its service: "[web 2/4] RUN …"."""
    if not service:
        return name
    return f"[{service} {name[1:]}" if name.startswith("[") else f"[{service}] {name}"


class PlainBuilds:
    """``#5 [2/4] RUN …`` and ``#5 0.126 output``, an empty line after each step, on stdout."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        self._names: dict[int, str] = {}
        self._rest: dict[int, bytes] = {}
        self._last = 0

    def show(self, service: str, event: BuildEvent) -> None:
        """Print what there is to say."""
        match event:
            case StepStarted():
                number = self._numbers[(service, event.number)] = len(self._numbers) + 1
                self._names[number] = titled(service, event.name)
                self._turn(number)
            case StepOutput():
                self._output(self._numbers[(service, event.number)], event)
            case StepNote():
                self._turn(self._numbers[(service, event.number)])
                output.data(f"#{self._last} {event.text}")
            case StepDone():
                self._done(self._numbers[(service, event.number)], event)
            case BuildWarning():
                output.data(f"WARN: {event.rule}: {event.message}{f' (line {event.line})' if event.line else ''}")
            case _:
                assert_never(event)
        output.flush()

    def close(self) -> None:
        """Nothing to restore."""

    def _turn(self, number: int) -> None:
        if self._last == number:
            return
        if self._last:
            output.data("")
        self._last = number
        output.data(f"#{number} {self._names[number]}")

    def _output(self, number: int, event: StepOutput) -> None:
        self._turn(number)
        *lines, rest = (self._rest.get(number, b"") + event.data).split(b"\n")
        self._rest[number] = rest
        for line in lines:
            output.data(f"#{number} {event.seconds:.3f} {_visible(line)}")

    def _done(self, number: int, event: StepDone) -> None:
        rest = self._rest.pop(number, b"")
        self._turn(number)
        if rest:
            output.data(f"#{number} {event.seconds:.3f} {_visible(rest)}")
        output.data(f"#{number} {_ending(event)}")
        output.data("")
        self._last = 0


class JsonBuilds:
    """One JSON object per event."""

    def show(self, service: str, event: BuildEvent) -> None:
        """Print the object."""
        record: dict[str, object] = {"service": service, "event": type(event).__name__}
        for name in event.__slots__:
            value = getattr(event, name)
            record[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        output.data(json.dumps({k: v for k, v in record.items() if v != ""}, ensure_ascii=False))
        output.flush()

    def close(self) -> None:
        """Nothing to restore."""


class QuietBuilds:
    """Says nothing."""

    def show(self, service: str, event: BuildEvent) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing to restore."""


@dataclass(slots=True)
class _Line:
    name: str
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    ending: str = ""
    note: str = ""
    rest: bytes = b""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))


class LiveBuilds:
    """A list of steps, those at work with the last lines of their output, redrawn in place by a thread of its own."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int], _Line] = {}
        self._began = time.monotonic()
        self._drawn = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, service: str, event: BuildEvent) -> None:
        """Note what is to be seen."""
        with self._lock:
            match event:
                case StepStarted():
                    self._lines[(service, event.number)] = _Line(titled(service, event.name))
                case StepOutput():
                    _remember(self._lines[(service, event.number)], event.data)
                case StepNote():
                    self._lines[(service, event.number)].note = event.text
                case StepDone():
                    line = self._lines[(service, event.number)]
                    line.seconds, line.ending = event.seconds, "ERROR" if event.error else "CACHED" if event.cached else ""
                case BuildWarning():
                    return
                case _:
                    assert_never(event)

    def close(self) -> None:
        """Draw the last state."""
        self._stop.set()
        self._thread.join()
        self._draw(final=True)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._draw()

    def _draw(self, *, final: bool = False) -> None:
        with self._lock:
            columns, rows = _terminal()
            done = sum(line.seconds is not None for line in self._lines.values())
            header = f"[+] Building {time.monotonic() - self._began:.1f}s ({done}/{len(self._lines)})"
            body = [text for line in self._lines.values() for text in _drawn(line, columns)]
        room = len(body) if final else max(rows - 2, 1)
        shown = [output.styled(header, output.BLUE) if final else header, *body[-room:]]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        output.draw(f"{up}\r" + "".join(f"{text}{_CLEAR}\n" for text in shown) + "\x1b[J")
        self._drawn = len(shown)


def _remember(line: _Line, data: bytes) -> None:
    *lines, line.rest = (line.rest + data).split(b"\n")
    line.log.extend(_visible(text) for text in lines)


def _drawn(line: _Line, columns: int) -> list[str]:
    seconds = time.monotonic() - line.began if line.seconds is None else line.seconds
    timer = f"{seconds:.1f}s"
    ending = f"{line.ending} " if line.ending else ""
    name = human.ellipsis(f" => {ending}{line.name}", columns - len(timer) - 2).ljust(columns - len(timer) - 2)
    colour = {"ERROR": output.RED, "CACHED": output.CYAN}.get(line.ending, output.BLUE if line.seconds is not None else output.BOLD)
    drawn = [output.styled(f"{name} {timer}", colour)]
    if line.seconds is None:
        drawn += [output.styled(human.ellipsis(f" => => # {text}", columns - 1), output.DIM) for text in line.log]
    return drawn


def _ending(event: StepDone) -> str:
    if event.error:
        return f"ERROR: {event.error}"
    return "CACHED" if event.cached else f"DONE {event.seconds:.1f}s"


def _visible(line: bytes) -> str:
    """A line of output without what would move the cursor; of a line that was overwritten, the last state."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace").replace("\x1b[K", "")


def _terminal() -> tuple[int, int]:
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24
