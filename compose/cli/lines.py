"""Containers' output as lines with coloured prefixes ("web-1  | hello"). In the command's process."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol

from compose.cli import human, output

_COLOURS = ("36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1")
_LONGEST = 1 << 20


class Line(Protocol):
    """A line of output, or a piece of one (``partial``), with the time it came (ns since the epoch); as ``runtime.observe.logs`` gives it."""

    @property
    def time_ns(self) -> int:
        """When it came."""

    @property
    def stream(self) -> str:
        """stdout or stderr."""

    @property
    def text(self) -> bytes:
        """What was written, without the newline."""

    @property
    def partial(self) -> bool:
        """Whether no newline has come yet."""


class LinePrinter:
    """Prints lines of many containers; each container has a label and the next colour of the cycle.

    ``split`` sends what containers wrote to their stderr to ours. Pieces of a line are put together before they are printed.
    """

    def __init__(self, *, colour: bool, prefix: bool, timestamps: bool, split: bool) -> None:
        self._colour = colour and output.coloured(sys.stdout)
        self._prefix = prefix
        self._timestamps = timestamps
        self._split = split
        self._labels: dict[str, str] = {}
        self._prefixes: dict[str, bytes] = {}
        self._hidden: set[str] = set()
        self._pieces: dict[tuple[str, str], tuple[int, bytes]] = {}

    def register(self, key: str, label: str) -> None:
        """Announce a container; all prefixes become as wide as the widest label."""
        self._labels.setdefault(key, label)
        width = max(len(n) for n in self._labels.values()) + 1
        self._prefixes = {k: self._coloured(f"{n.ljust(width)} | ", i) for i, (k, n) in enumerate(self._labels.items())}

    def hide(self, key: str) -> None:
        """Print nothing of this container."""
        self._hidden.add(key)

    def line(self, key: str, line: Line) -> None:
        """Print a line, or keep a piece of one until the rest has come."""
        if key in self._hidden:
            return
        when, begun = self._pieces.pop((key, line.stream), (line.time_ns, b""))
        text = begun + line.text
        if line.partial and len(text) < _LONGEST:
            self._pieces[key, line.stream] = (when, text)
        else:
            self._print(key, line.stream, when, text)

    def finish(self, key: str) -> None:
        """Print what a container left without a newline."""
        for piece in [p for p in self._pieces if p[0] == key]:
            when, text = self._pieces.pop(piece)
            self._print(key, piece[1], when, text)

    def lines(self, key: str, lines: Iterable[Line]) -> None:
        """Print several lines of one container."""
        for line in lines:
            self.line(key, line)

    def notice(self, key: str, text: str) -> None:
        """Print a line about a container ("web-1 exited with code 0")."""
        if key in self._hidden:
            return
        label = self._labels.get(key, key)
        clear = "\x1b[K" if output.coloured(sys.stdout) else ""
        output.write(f"{clear}{self._styled(label, key)} {text}\n")
        output.flush()

    def _print(self, key: str, stream: str, when: int, text: bytes) -> None:
        before = self._prefixes[key] if self._prefix else b""
        stamp = f"{human.timestamp(when)} ".encode() if self._timestamps else b""
        output.line_bytes(before + stamp + text.removesuffix(b"\r") + b"\n", to_stderr=self._split and stream == "stderr")

    def _styled(self, label: str, key: str) -> str:
        index = list(self._labels).index(key) if key in self._labels else 0
        return self._coloured(label, index).decode() if self._prefix else label

    def _coloured(self, text: str, index: int) -> bytes:
        if not self._colour:
            return text.encode()
        return f"\x1b[{_COLOURS[index % len(_COLOURS)]}m{text}\x1b[0m".encode()
