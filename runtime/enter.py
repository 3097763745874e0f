"""A further process in a running container: exec, health checks and hooks. In the supervisor, the command line and the builder.

Only the fork happens in the caller; the child joins the namespaces and cgroups, takes on the container's confinement, and executes.
"""

from __future__ import annotations

import gc
import os
import socket
from dataclasses import replace
from typing import NoReturn

from runtime import cgroups, sandbox_stdio, security
from runtime.bundle import Bundle
from runtime.errors import LaunchError
from runtime.mounts import Root
from runtime.namespaces import ENTERED, clone_child
from runtime.native import syscalls as sys
from runtime.sandbox import Launched, Launching, Stdio
from runtime.sandbox_channel import channel, send_failure, send_warning
from runtime.sandbox_child import forget_imports
from runtime.sandbox_process import Process, become
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
    directory = cgroup.descriptor() if cgroup else -1
    ours, theirs = channel()
    try:
        child = clone_child(0, container, directory)
        if child.pid == 0:
            _run(container, bundle, spec, stdio, cgroup, theirs, directory >= 0)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(container)
        if directory >= 0:
            os.close(directory)
    return Launching(child.pid, child.pidfd, ours)


def _open_container(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise LaunchError("namespaces", "the container is not running", exit_code=1) from None


def _run(
    container: int, bundle: Bundle, spec: ExecSpec, stdio: Stdio, cgroup: cgroups.Cgroup | None, connection: socket.socket, born: bool
) -> NoReturn:
    stage = "start"
    try:
        gc.disable()
        os.setsid()
        os.umask(0o022)
        sys.prctl(sys.PR_SET_DUMPABLE, 0)
        stage = "cgroup"
        if cgroup is not None:
            cgroup.join(born=born)
        stage = "seccomp"
        process = _process(bundle, spec, load_filter(bundle.confinement, lambda text: send_warning(connection, text)))
        stage = "namespaces"
        root = _enter(container)
        stage = "terminal"
        sandbox_stdio.set_up(sandbox_stdio.Streams(stdio.stdin, stdio.stdout, stdio.stderr, stdio.terminal), root, connection)
        stage = "process"
        become(process, root)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is to hear of it
        send_failure(connection, stage, error)
    finally:
        os._exit(125)


def _enter(container: int) -> Root:
    """Join all namespaces at once by the pidfd (setns(2), Linux ≥ 5.8); the mount namespace's root becomes ours."""
    forget_imports()
    sys.setns(container, ENTERED, "container")
    return Root(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def _process(bundle: Bundle, spec: ExecSpec, program: bytes) -> Process:
    environment = dict(bundle.environment)
    for key, value in spec.environment.items():
        if value is None:
            environment.pop(key, None)
        else:
            environment[key] = value
    confinement = bundle.confinement
    if spec.privileged:
        confinement = replace(confinement, capabilities=tuple(security.CAPABILITIES), apparmor="unconfined")
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
    )
