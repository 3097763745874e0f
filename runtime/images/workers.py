"""A few threads over a list of jobs: the first failure, or the caller's interrupt, stops the rest and is raised."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

Job = Callable[[], None]
_GRACE = 5.0  # seconds that a cancelled job gets to notice and clean up


def run(jobs: Sequence[Job], parallel: int, cancel: threading.Event) -> None:
    """Run every job, ``parallel`` at a time, in order. Sets ``cancel`` on failure, so that jobs that look at it end early.

    Raises the first failure.
    """
    if len(jobs) <= 1:
        for job in jobs:
            job()
        return
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    failures: list[BaseException] = []
    threads = [threading.Thread(target=_work, args=(waiting, failures, cancel), daemon=True) for _ in range(min(parallel, len(jobs)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        cancel.set()
        for thread in threads:
            thread.join(_GRACE)
        raise
    if failures:
        raise failures[0]


def _work(waiting: queue.SimpleQueue[Job], failures: list[BaseException], cancel: threading.Event) -> None:
    while not cancel.is_set() and not failures:
        try:
            job = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            job()
        except BaseException as error:  # raised by run()
            failures.append(error)
            cancel.set()
