"""What a container's first process does between clone3 and execve, step by step. In the container child only.

No lock, thread or import may be needed here: the parent's modules are all loaded, and after the pivot the container's files must not be taken for ours.
"""

from __future__ import annotations

import gc
import os
import socket
import sys as python
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import NoReturn

from runtime import namespaces, sandbox_init, sandbox_root, sandbox_stdio
from runtime.bundle import Bundle
from runtime.bundle_mounts import TmpfsEntry
from runtime.cgroups import Cgroup, join
from runtime.errors import KernelError, LaunchError
from runtime.mounts import Root
from runtime.native import syscalls as sys
from runtime.record import dataclass
from runtime.sandbox_channel import send_failure, send_ready
from runtime.sandbox_process import Process, become
from runtime.security_filter import load_filter

_KEPT: list[object] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the parent hands over to its child; ``gates`` are the ways into its cgroup that are left to the child.

    ``late`` joins the cgroup just before execve: until then the child is a Python process, whose memory a small limit would not hold.
    """

    bundle: Bundle
    streams: sandbox_stdio.Streams
    donors: Mapping[str, int]
    cgroup: Cgroup | None
    gates: Sequence[int]
    connection: socket.socket
    late: bool
    ignored_signals: Sequence[int]
    init: str = ""
    warnings: Sequence[str] = ()


@dataclass(slots=True)
class Progress:
    """Which step is under way, and what the parent is to get when all are done."""

    stage: str = "start"
    terminal: int = -1
    warnings: list[str] = field(default_factory=list)


def run(connection: socket.socket, steps: Callable[[Progress], NoReturn]) -> NoReturn:
    """Do the steps, or report which one failed and end."""
    progress = Progress()
    try:
        gc.disable()
        steps(progress)
    except BaseException as error:
        send_failure(connection, progress.stage, error)
    finally:
        os._exit(125)


def launch(order: Order, progress: Progress) -> NoReturn:
    """Become the container's first process."""
    bundle = order.bundle
    progress.stage = "cgroup"
    begin_session()
    progress.warnings += order.warnings
    if not order.late:
        _join_cgroup(order)
    _set_oom_score(bundle.oom_score_adj)
    progress.stage = "seccomp"
    program = load_filter(bundle.confinement, progress.warnings.append)
    progress.stage = "namespaces"
    namespaces.join(bundle.namespaces, order.donors)
    _set_names(bundle)
    progress.stage = "mounts"
    root = _make_root(order)
    progress.stage = "terminal"
    progress.terminal = sandbox_stdio.set_up(order.streams, root)
    progress.stage = "mounts"
    sandbox_root.hide(root, bundle)
    progress.stage = "cgroup"
    if order.late:
        _join_cgroup(order)
    progress.stage = "process"
    become(_process(order, progress, program), root)


def begin_session() -> None:
    """Begin a session; hide this process while it still is Python (ptrace(2): nobody in a shared pid namespace may look into it)."""
    os.setsid()
    os.umask(0o022)
    sys.prctl(sys.PR_SET_DUMPABLE, 0)


def _join_cgroup(order: Order) -> None:
    """Join; the cgroup namespace made then has its root there (cgroup_namespaces(7))."""
    join(order.gates)
    if not order.bundle.namespaces.cgroup:
        sys.unshare(sys.CLONE_NEWCGROUP)


def _set_oom_score(value: int) -> None:
    if value:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(value))


def _set_names(bundle: Bundle) -> None:
    if not bundle.namespaces.uts:
        if bundle.hostname:
            sys.sethostname(bundle.hostname)
        if bundle.domainname:
            sys.setdomainname(bundle.domainname)


def _make_root(order: Order) -> Root:
    bundle = order.bundle
    cgroups = order.cgroup.mountpoints() if order.cgroup else ()
    sources = sandbox_root.open_sources(bundle, cgroups, order.donors, order.init)
    forget_imports()
    root = sandbox_root.enter_root(bundle)
    if any(isinstance(e, TmpfsEntry) for e in bundle.mounts):
        _make_cwd(root, bundle.cwd)  # before the mounts as after them: the directory that a tmpfs covers gives it its mode
    sandbox_root.furnish(root, bundle, sources)
    sandbox_root.set_sysctls(root, bundle.sysctls)
    _make_cwd(root, bundle.cwd)
    return root


def _make_cwd(root: Root, path: str) -> None:
    """Docker makes a missing working directory."""
    try:
        os.close(root.make_directory(path))
    except (KernelError, OSError) as error:
        reason = os.strerror(error.errno or 0).lower()
        raise LaunchError("cwd", f"working directory {path}: {reason}", exit_code=126, errno=error.errno or 0) from None


def forget_imports() -> None:
    """From here on an import would find the container's files under our paths: leave no way to import anything."""
    _KEPT.extend((python.meta_path, python.path_hooks))  # freeing them would cost half a millisecond
    python.meta_path, python.path_hooks = [], []


def _process(order: Order, progress: Progress, program: bytes) -> Process:
    bundle = order.bundle
    return Process(
        argv=(sandbox_init.TARGET, "--", *bundle.argv) if order.init else bundle.argv,
        environment=bundle.environment,
        cwd=bundle.cwd,
        user=bundle.user,
        group_add=bundle.group_add,
        ulimits=bundle.ulimits,
        confinement=bundle.confinement,
        filter=program,
        tty=bundle.tty,
        ignored_signals=order.ignored_signals,
        ready=lambda: send_ready(order.connection, progress.terminal, progress.warnings),
        program=bundle.argv[0],
        reap=bundle.init and not order.init,
    )
