"""A further process in a running container: exec, health checks and hooks. In the supervisor, the command line and the builder.

Only the fork happens in the caller; the child joins the namespaces and cgroups, takes on the container's confinement, and executes.
"""

from __future__ import annotations

from runtime.bundle import Bundle
from runtime.sandbox import Launched, Launching, Stdio
from runtime.spec import ExecSpec


def execute(container_pid: int, bundle: Bundle, spec: ExecSpec, stdio: Stdio) -> Launched:
    """Start ``spec`` beside the process ``container_pid`` and return when it has been executed. Raises LaunchError (125, 126, 127)."""
    return begin(container_pid, bundle, spec, stdio).finish()


def begin(container_pid: int, bundle: Bundle, spec: ExecSpec, stdio: Stdio) -> Launching:
    """Start it without waiting for its outcome; a selector loop watches ``Launching.fileno()``."""
    raise NotImplementedError
