"""An epoll loop with timers: the worker's only way of waiting. In the supervisor's worker.

selectors(3) of the standard library would do, but a loop that moves to a forked child (see ``worker``) must build its epoll anew.
"""

from __future__ import annotations

import heapq
import os
import select
import sys
import time
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANGUP = select.EPOLLHUP
_LONGEST_SLEEP = 3600.0

Action = Callable[[int], object]


class Timer:
    """A call to come; ``cancel`` makes it never come."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget the call; the heap drops the entry when its time comes."""
        self.action = None


class Loop:
    """Watches descriptors and the clock. Actions must not block; one that raises is reported on standard error and the loop goes on."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._watched: dict[int, tuple[int, Action]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._running = False

    def watch(self, descriptor: int, action: Action, events: int = READ) -> None:
        """Call ``action(events)`` whenever the descriptor is ready; replaces an earlier watch of it."""
        if descriptor in self._watched:
            self._poll.modify(descriptor, events)
        else:
            self._poll.register(descriptor, events)
        self._watched[descriptor] = (events, action)

    def forget(self, descriptor: int) -> None:
        """Watch no more; must precede close(2). Not watched is fine."""
        if self._watched.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def is_watched(self, descriptor: int) -> bool:
        """Whether ``watch`` is in force."""
        return descriptor in self._watched

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Call ``action()`` once, ``seconds`` from now."""
        timer = Timer(action)
        self._sequence += 1
        heapq.heappush(self._timers, (time.monotonic() + max(seconds, 0.0), self._sequence, timer))
        return timer

    def run(self) -> None:
        """Turn until ``stop``."""
        self._running = True
        while self._running:
            self._turn()

    def stop(self) -> None:
        """Leave ``run`` after this turn."""
        self._running = False

    def rebuild(self) -> None:
        """A new epoll with the same watches: after fork(2) the old one is shared with the other process."""
        self._poll.close()
        self._poll = select.epoll()
        for descriptor, (events, _) in self._watched.items():
            self._poll.register(descriptor, events)

    def _turn(self) -> None:
        for descriptor, happened in self._poll.poll(self._patience()):
            watch = self._watched.get(descriptor)
            if watch is not None:
                self._guard(lambda action=watch[1], events=happened: action(events))  # type: ignore[misc]
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.action is not None:
                self._guard(timer.action)

    def _patience(self) -> float:
        while self._timers and self._timers[0][2].action is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return _LONGEST_SLEEP
        return min(max(self._timers[0][0] - time.monotonic(), 0.0), _LONGEST_SLEEP)

    @staticmethod
    def _guard(action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # one container's trouble must not end the supervision of the others
            report_trouble()


def report_trouble() -> None:
    """Write the exception being handled to standard error, which is the supervisor's own log."""
    import traceback

    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} [{os.getpid()}] {traceback.format_exc()}")
    sys.stderr.flush()
