"""Progress on a terminal: a header and one line per resource, redrawn in place ten times a second. In the command's process."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import field

from compose.cli import human, output
from runtime.record import dataclass

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MARKS = {"Done": ("✔", output.GREEN), "Warning": ("!", output.YELLOW), "Error": ("✘", output.RED)}
_INTERVAL = 0.1
_HIDE_CURSOR, _SHOW_CURSOR, _CLEAR_LINE = "\x1b[?25l", "\x1b[?25h", "\x1b[K"


@dataclass(slots=True)
class _Resource:
    status: str = "Working"
    text: str = ""
    current: int = 0
    total: int = 0
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0


class LiveDisplay:
    """Redraws from a thread of its own; ``show`` only notes what is to be seen."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._resources: dict[str, _Resource] = {}
        self._drawn = 0
        self._turn = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, resource: str, status: str, text: str, *, current: int = 0, total: int = 0) -> None:
        """Note a transition."""
        with self._lock:
            entry = self._resources.setdefault(resource, _Resource())
            if entry.status != "Working" and status == "Working":
                entry.began = time.monotonic()
            entry.status, entry.text, entry.current, entry.total = status, text, current, total
            entry.ended = time.monotonic()

    def close(self) -> None:
        """Draw the last state and show the cursor again."""
        self._stop.set()
        self._thread.join()
        self._draw(final=True)
        if self._drawn:
            output.draw(_SHOW_CURSOR)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._draw()

    def _draw(self, *, final: bool = False) -> None:
        with self._lock:
            if not self._resources:
                return
            columns, height = _terminal_size()
            lines = [self._header(), *(self._line(n, r, columns) for n, r in self._visible(height, final))]
            up = f"\x1b[{self._drawn}A" if self._drawn else ""
            cleared = "".join(f"{line}{_CLEAR_LINE}\n" for line in lines)
            output.draw(f"{_HIDE_CURSOR}{up}\r{cleared}\x1b[J")
            self._drawn = len(lines)
            self._turn += 1

    def _visible(self, height: int, final: bool) -> list[tuple[str, _Resource]]:
        """All of them, or what fits: those at work first."""
        everything = list(self._resources.items())
        room = max(height - 2, 1)
        if final or len(everything) <= room:
            return everything
        return sorted(everything, key=lambda e: (e[1].status != "Working", -e[1].ended))[:room]

    def _header(self) -> str:
        done = sum(r.status == "Done" for r in self._resources.values())
        text = f"[+] {self._title} {done}/{len(self._resources)}"
        return output.styled(text, output.BLUE) if done == len(self._resources) else text

    def _line(self, name: str, resource: _Resource, columns: int) -> str:
        mark, colour = _MARKS.get(resource.status, (_SPINNER[self._turn % len(_SPINNER)], output.YELLOW))
        end = time.monotonic() if resource.status == "Working" else resource.ended
        timer = f"{end - resource.began:.1f}s"
        text = _single_line(resource.text) + _amount(resource)
        width = max(len(n) for n in self._resources)
        room = max(columns - width - len(timer) - 6, 8)
        text = human.ellipsis(text, room).ljust(min(room, 12))
        return f" {output.styled(mark, colour)} {name.ljust(width)} {output.styled(text, colour)} {output.styled(timer, output.BLUE)}"


def _amount(resource: _Resource) -> str:
    if not resource.total or resource.status != "Working":
        return ""
    return f" {human.size(resource.current)}/{human.size(resource.total)}"


def _single_line(text: str) -> str:
    return " ".join(text.split())


def _terminal_size() -> tuple[int, int]:
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24
