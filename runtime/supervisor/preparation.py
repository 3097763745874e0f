"""Making a fresh interpreter a good supervisor: signals, limits, working directory, and everything imported once. In the keeper, at its start."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal

_DESCRIPTORS = 1 << 20  # what Docker gives its containers, which inherit ours


def prepare_process() -> None:
    """Detach from the caller's surroundings and load the worker's modules, so that every worker shares the pages."""
    gc.disable()  # importing makes no garbage
    os.chdir("/")
    os.umask(0o022)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    _raise_descriptor_limit()
    _leave_session()
    from runtime.supervisor import worker as _  # noqa: F401  the import is the point

    gc.collect()
    gc.freeze()
    gc.enable()


def _leave_session(cgroups: str = "/proc/self/cgroup", tree: str = "/sys/fs/cgroup") -> None:
    """Move from a user session's cgroup to the root: logind ends what is left in it at logout (KillUserProcesses=, logind.conf(5)).

    The session is told by the hierarchy that systemd keeps (v2's "0::", v1's "name=systemd"); without the right to move, it stays.
    """
    with open(cgroups) as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in rows:
        if controllers in ("", "name=systemd") and ("/user.slice/" in path or path.endswith(".scope")):
            places = (tree, f"{tree}/unified") if controllers == "" else (f"{tree}/systemd",)
            for place in places:
                with contextlib.suppress(OSError), open(f"{place}/cgroup.procs", "w") as file:
                    file.write("0")


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
