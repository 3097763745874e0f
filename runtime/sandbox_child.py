"""What a container's first process does between clone3 and execve, step by step. In the container child only.

No lock, thread or import may be needed here: the parent's modules are all loaded, and after the pivot the container's files must not be taken for ours.
"""

from __future__ import annotations

import gc
import os
import socket
import sys as python
from collections.abc import Mapping
from typing import NoReturn

from runtime import namespaces, sandbox_root, sandbox_stdio
from runtime.bundle import Bundle
from runtime.cgroups import Cgroup
from runtime.mounts import Root
from runtime.native import syscalls as sys
from runtime.sandbox_channel import send_failure, send_warning
from runtime.sandbox_process import Process, become
from runtime.security_filter import load_filter


def run(
    bundle: Bundle, streams: sandbox_stdio.Streams, donors: Mapping[str, int], cgroup: Cgroup | None, connection: socket.socket, *, born: bool
) -> NoReturn:
    """Become the container's first process, or report why not and end."""
    steps = _Steps()
    try:
        gc.disable()
        _start(steps, bundle, streams, donors, cgroup, connection, born)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is to hear of it
        send_failure(connection, steps.stage, error)
    finally:
        os._exit(125)


class _Steps:
    """Which step is under way, for messages."""

    stage = "start"


def _start(
    steps: _Steps,
    bundle: Bundle,
    streams: sandbox_stdio.Streams,
    donors: Mapping[str, int],
    cgroup: Cgroup | None,
    connection: socket.socket,
    born: bool,
) -> NoReturn:
    steps.stage = "cgroup"
    if cgroup is not None:
        cgroup.join(born=born)
    _protect(bundle.oom_score_adj)
    steps.stage = "seccomp"
    program = load_filter(bundle.confinement, lambda text: send_warning(connection, text))
    steps.stage = "namespaces"
    namespaces.join(bundle.namespaces, donors)
    _name(bundle)
    steps.stage = "mounts"
    root = _make_root(bundle, donors, cgroup)
    steps.stage = "terminal"
    sandbox_stdio.set_up(streams, root, connection)
    steps.stage = "mounts"
    sandbox_root.hide(root, bundle)
    steps.stage = "process"
    become(_process(bundle, program), root)


def _protect(oom_score_adj: int) -> None:
    """A session of its own; and nobody in a shared pid namespace may look into this process while it still is Python (ptrace(2))."""
    os.setsid()
    os.umask(0o022)
    if oom_score_adj:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(oom_score_adj))
    sys.prctl(sys.PR_SET_DUMPABLE, 0)


def _name(bundle: Bundle) -> None:
    if not bundle.namespaces.uts:
        if bundle.hostname:
            sys.sethostname(bundle.hostname)
        if bundle.domainname:
            sys.setdomainname(bundle.domainname)


def _make_root(bundle: Bundle, donors: Mapping[str, int], cgroup: Cgroup | None) -> Root:
    sources = sandbox_root.open_sources(bundle, cgroup.mountpoints() if cgroup else (), donors, "")
    forget_imports()
    root = sandbox_root.enter_root(bundle)
    sandbox_root.furnish(root, bundle, sources)
    sandbox_root.set_sysctls(root, bundle.sysctls)
    if not root.exists(bundle.cwd):
        os.close(root.make_directory(bundle.cwd))
    return root


def forget_imports() -> None:
    """From here on an import would find the container's files under our paths: leave no way to import anything."""
    python.meta_path.clear()
    python.path_hooks.clear()
    python.path_importer_cache.clear()


def _process(bundle: Bundle, program: bytes) -> Process:
    return Process(
        argv=bundle.argv,
        environment=bundle.environment,
        cwd=bundle.cwd,
        user=bundle.user,
        group_add=bundle.group_add,
        ulimits=bundle.ulimits,
        confinement=bundle.confinement,
        filter=program,
        tty=bundle.tty,
    )
