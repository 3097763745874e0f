"""A further process in a running container: exec, health checks and hooks. In the supervisor, the command line and the builder.

Only the fork happens in the caller; the child joins the namespaces and cgroups, takes on the container's confinement, and executes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import NoReturn

from runtime import cgroups, sandbox_stdio, security
from runtime.bundle import Bundle
from runtime.cgroups import join
from runtime.errors import LaunchError
from runtime.mounts import Root
from runtime.namespaces import ENTERED
from runtime.native import syscalls as sys
from runtime.sandbox import Launched, Launching, Stdio, fork, ways_in
from runtime.sandbox_channel import channel, send_ready
from runtime.sandbox_child import Order, Progress, begin_session, forget_imports
from runtime.sandbox_process import Process, become, ignored_signals
from runtime.sandbox_stdio import Streams
from runtime.security_filter import load_filter
from runtime.spec import ExecSpec


def execute(container_pid: int, bundle: Bundle, spec: ExecSpec, stdio: Stdio) -> Launched:
    """Start ``spec`` beside the process ``container_pid`` and return when it has been executed. Raises LaunchError (125, 126, 127)."""
    return begin(container_pid, bundle, spec, stdio).finish()


def begin(container_pid: int, bundle: Bundle, spec: ExecSpec, stdio: Stdio) -> Launching:
    """Start it without waiting for its outcome; a selector loop watches ``Launching.fileno()``. The child is the caller's to reap."""
    if not spec.argv:
        raise LaunchError("exec", "exec: no command was given", exit_code=126)
    container = _open_container(container_pid)
    cgroup = cgroups.find(bundle.cgroup.path) if bundle.cgroup.path else None
    # A Python process must not be charged to a container that may be near its memory limit: such a one is joined at the last moment.
    try:
        directory, gates = ways_in(cgroup, early=not bundle.cgroup.resources.memory)
    except LaunchError:
        os.close(container)
        raise
    ours, theirs = channel()
    order = Order(
        bundle=bundle,
        streams=Streams(stdio.stdin, stdio.stdout, stdio.stderr, stdio.terminal, size=stdio.size),
        donors={},
        cgroup=cgroup,
        gates=gates,
        connection=theirs,
        late=True,
        ignored_signals=ignored_signals(),
    )
    child = fork(order, 0, container, directory, partial(_steps, order, spec, container))
    return Launching(child.pid, child.pidfd, ours)


def _open_container(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise LaunchError("namespaces", "the container is not running", exit_code=1) from None


def _steps(order: Order, spec: ExecSpec, container: int, progress: Progress) -> NoReturn:
    progress.stage = "cgroup"
    begin_session()
    progress.stage = "seccomp"
    process = _process(order, progress, spec, load_filter(order.bundle.confinement, progress.warnings.append))
    progress.stage = "namespaces"
    root = _enter(container)
    progress.stage = "terminal"
    progress.terminal = sandbox_stdio.set_up(order.streams, root)
    progress.stage = "cgroup"
    join(order.gates)
    progress.stage = "process"
    become(process, root)


def _enter(container: int) -> Root:
    """Join all namespaces at once by the pidfd (setns(2), Linux ≥ 5.8); the mount namespace's root becomes ours."""
    forget_imports()
    sys.setns(container, ENTERED, "container")
    return Root(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def _process(order: Order, progress: Progress, spec: ExecSpec, program: bytes) -> Process:
    bundle = order.bundle
    environment = dict(bundle.environment)
    for key, value in spec.environment.items():
        if value is None:
            environment.pop(key, None)
        else:
            environment[key] = value
    confinement = bundle.confinement
    if spec.privileged:
        confinement = replace(confinement, capabilities=security.CAPABILITIES, apparmor="unconfined")
    return Process(
        argv=spec.argv,
        environment=environment,
        cwd=spec.working_dir or bundle.cwd,
        user=bundle.user if spec.user is None else spec.user,
        group_add=bundle.group_add,
        ulimits=bundle.ulimits,
        confinement=confinement,
        filter=program,
        tty=spec.tty,
        ignored_signals=order.ignored_signals,
        ready=lambda: send_ready(order.connection, progress.terminal, progress.warnings),
    )
