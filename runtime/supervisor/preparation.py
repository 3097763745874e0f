"""Making a fresh interpreter a good supervisor: signals, limits, working directory, and everything imported once. In the keeper, at its start."""

from __future__ import annotations

import gc
import os
import resource
import signal

_DESCRIPTORS = 1 << 20  # what Docker gives its containers, which inherit ours


def prepare_process() -> None:
    """Detach from the caller's surroundings and load the worker's modules, so that every worker shares the pages."""
    os.chdir("/")
    os.umask(0o022)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    _raise_descriptor_limit()
    from runtime.supervisor import worker as _  # noqa: F401  the import is the point

    gc.collect()
    gc.freeze()


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else max(hard, 0)
    try:
        if os.geteuid() == 0:
            resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, max(wanted, _DESCRIPTORS)))
        else:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
