"""``exec``: a further process in a service's container. No event loop: whole process well under 100 ms."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import click

from compose.cli import project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime.spec import ExecSpec

NO_TERMINAL = "the input device is not a TTY"


@click.command("exec", cls=Command, context_settings={"allow_interspersed_args": False})
@click.argument("service")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARGS...]")
@click.option("-d", "--detach", is_flag=True, help="Leave it running in the background.")
@click.option("-e", "--env", "environment", multiple=True, metavar="KEY=VALUE", help="Set environment variables.")
@click.option("--index", type=int, default=0, help="Number of the container, when the service has several.")
@click.option("-T", "--no-tty", "--no-TTY", is_flag=True, help="No terminal (by default there is one when ours is one).")
@click.option("--privileged", is_flag=True, help="Give the process all privileges.")
@click.option("-u", "--user", metavar="USER", help="Run as this user.")
@click.option("-w", "--workdir", metavar="DIRECTORY", help="Run in this directory.")
@click.option("-i", "--interactive/--no-interactive", default=True, hidden=True)
@click.option("-t", "--tty", is_flag=True, hidden=True, expose_value=False)  # no effect, as in the reference: see --no-tty
@click.pass_obj
def exec_(
    options: GlobalOptions,
    service: str,
    command: tuple[str, ...],
    detach: bool,
    environment: tuple[str, ...],
    index: int,
    no_tty: bool,
    privileged: bool,
    user: str | None,
    workdir: str | None,
    interactive: bool,
) -> int:
    """Execute a command in a running container."""
    state = project.one(options, service, index)
    terminal = not no_tty and not detach and sys.stdout.isatty()
    if terminal and interactive and not sys.stdin.isatty():
        raise UsageError(NO_TERMINAL, hint="add -T")
    process = ExecSpec(
        argv=command,
        environment=variables(environment),
        working_dir=workdir,
        user=user,
        privileged=privileged,
        tty=terminal,
    )
    if options.dry_run:
        return 0
    return _execute(state.spec.id, process, detach=detach, interactive=interactive)


def variables(said: Iterable[str]) -> dict[str, str | None]:
    """``KEY=VALUE`` entries; a ``KEY`` alone takes our own value, and is left out when we have none."""
    pairs = (text.partition("=") for text in said)
    return {key: value if equals else os.environ[key] for key, equals, value in pairs if equals or key in os.environ}


def _execute(container: str, process: ExecSpec, *, detach: bool, interactive: bool) -> int:
    from runtime.engine import access

    if process.tty:
        return _on_terminal(container, process)
    nothing = os.open(os.devnull, os.O_RDWR) if detach or not interactive else -1
    if detach:
        _in_background(container, process, nothing)
        return 0
    return access.exec_in(container, process, stdio=(0 if interactive else nothing, 1, 2))


def _in_background(container: str, process: ExecSpec, nothing: int) -> None:
    """Start and leave. Raises LaunchError with exit code 1: nobody waits for the process, so none of its codes is given."""
    from runtime.engine import access
    from runtime.errors import LaunchError

    try:
        access.enter(container, process, stdio=(nothing, nothing, nothing))
    except LaunchError as error:
        raise LaunchError(error.stage, error.message, exit_code=1, errno=error.errno, hint=error.hint) from error


def _on_terminal(container: str, process: ExecSpec) -> int:
    from compose.cli import terminal
    from runtime.engine import access

    entered = access.enter(container, process, size=terminal.size())
    if entered.terminal is None:
        return access.wait(entered)
    master = entered.terminal
    with terminal.raw(0), terminal.on_resize(lambda: terminal.set_size(master, *terminal.size())):
        terminal.pump(master, entered.pidfd)
    return access.wait(entered)
