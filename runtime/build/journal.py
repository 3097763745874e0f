"""Numbers the steps of one build and tells what happens to them. In the command's process, on its event loop."""

from __future__ import annotations

import time
from collections import deque

from runtime.build.events import BuildWarning, Progress, StepDone, StepNote, StepOutput, StepStarted

_KEPT = 32 << 10  # bytes of a step's output that an error repeats


class Step:
    """One step under way."""

    def __init__(self, number: int, name: str, progress: Progress) -> None:
        self.number = number
        self.name = name
        self._progress = progress
        self._began = time.monotonic()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        progress(StepStarted(number=number, name=name))

    def output(self, data: bytes) -> None:
        """What its command printed."""
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size > _KEPT and len(self._tail) > 1:
            self._tail_size -= len(self._tail.popleft())
        self._progress(StepOutput(number=self.number, data=data, seconds=time.monotonic() - self._began))

    def note(self, text: str) -> None:
        """Something to say about it."""
        self._progress(StepNote(number=self.number, text=text))

    def done(self, *, cached: bool = False, error: str = "") -> None:
        """Its end."""
        self._progress(StepDone(number=self.number, seconds=time.monotonic() - self._began, cached=cached, error=error))

    def tail(self, lines: int = 20) -> str:
        """The last lines of its output."""
        text = b"".join(self._tail).decode("utf-8", "replace")
        return "\n".join(text.rstrip().splitlines()[-lines:])


class Journal:
    """The steps of one build."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last = 0

    def step(self, name: str) -> Step:
        """Begin a step."""
        self._last += 1
        return Step(self._last, name, self._progress)

    def warn(self, rule: str, message: str, line: int = 0) -> None:
        """Say what works, but should be otherwise."""
        self._progress(BuildWarning(rule=rule, message=message, line=line))
