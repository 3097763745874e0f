"""What comes first in a changing command: clearing what killed ones left, and starting early what it will need.

The imports of what starts early overlap with reading the file and planning. Stdlib only.
"""

from __future__ import annotations

from runtime.store import Paths, entries, is_locked, paths

_STARTING = frozenset(("up", "create", "run", "scale"))
_ENDING = frozenset(("down",))


def for_command(command: str, project: str | None, where: Paths | None = None) -> None:
    """Start the network worker when ``command`` on ``project`` is likely to change networks: the first ``up``, and a ``down`` of something;
    and a supervisor-to-be when there is none that could start a container.

    A guess that is wrong costs nothing but the other processor's time.
    """
    at = where or paths()
    beginning = command in _STARTING and (project is None or not is_locked(f"{at.project_run(project)}/supervisor.lock"))
    if beginning or (command in _ENDING and project and entries(f"{at.project(project)}/containers")):
        from runtime.network import spawn as networker

        networker.ahead(at.run)
    if beginning:
        from runtime.supervisor import spawn as supervisor

        supervisor.ahead()


def tidy(project: str, where: Paths | None = None) -> None:
    """Clear what killed commands left half-done of a project; the caller holds its lock."""
    from runtime.engine import removal

    removal.sweep(where or paths(), project)


def share(lock: int) -> None:
    """Let the network worker hold the project's lock as well: should this process be killed, the next command waits for what the worker was told."""
    from runtime.network import spawn

    spawn.shared = (lock,)


def dismiss(project: str, where: Paths | None = None) -> None:
    """Let a supervisor leave whose project has no containers: the command that started it, or removed the last of them, may have been killed."""
    at = where or paths()
    if not entries(f"{at.project(project)}/containers") and is_locked(f"{at.project_run(project)}/supervisor.lock"):
        from runtime.supervisor import client

        client.dismiss(project, at)


def for_starts(project: str, where: Paths | None = None) -> None:
    """Start the project's supervisor, if there is none, before the first container is ready to be started."""
    from runtime.supervisor import client

    client.ensure(project, where or paths())
