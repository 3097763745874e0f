"""Slow or library-heavy work in a short-lived fork of the worker, which itself never blocks. In the supervisor's worker."""

from __future__ import annotations

import os
from collections.abc import Callable

from runtime.supervisor.loop import report_trouble
from runtime.supervisor.reaping import Reaping


def run_aside(reaping: Reaping, work: Callable[[], None], done: Callable[[], None] | None = None) -> None:
    """Do ``work()`` in a child process; ``done()`` is called at its end, successful or not (its trouble is in the supervisor's log)."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            report_trouble()
        finally:
            os._exit(status)
    reaping.expect(pid, os.pidfd_open(pid), lambda _: done() if done is not None else None)
