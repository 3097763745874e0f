"""``start stop restart kill pause unpause``: one intent each."""

from __future__ import annotations

import click

from compose.cli import output, project
from compose.cli.change import Change, carry_out
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from compose.intent import Intent, Kill, Pause, Restart, Start, Stop, Unpause
from compose.plan import Plan

SERVICES = click.argument("services", nargs=-1, metavar="[SERVICE...]")


@click.command(cls=Command)
@SERVICES
@click.option("--wait", is_flag=True, help="Wait until services are running or healthy.")
@click.option("--wait-timeout", type=int, metavar="SECONDS", help="Wait at most so long.")
@click.pass_obj
def start(options: GlobalOptions, services: tuple[str, ...], wait: bool, wait_timeout: int | None) -> None:
    """Start services."""
    _do(options, Start(services=services, wait=wait, wait_timeout=_timeout(wait_timeout)), "start")


@click.command(cls=Command)
@SERVICES
@click.option("-t", "--timeout", type=int, metavar="SECONDS", help="Time between the stop signal and SIGKILL.")
@click.pass_obj
def stop(options: GlobalOptions, services: tuple[str, ...], timeout: int | None) -> None:
    """Stop services."""
    _do(options, Stop(services=services, timeout=seconds(timeout)), "stop")


@click.command(cls=Command)
@SERVICES
@click.option("-t", "--timeout", type=int, metavar="SECONDS", help="Time between the stop signal and SIGKILL.")
@click.option("--no-deps", is_flag=True, help="Leave dependent services alone.")
@click.pass_obj
def restart(options: GlobalOptions, services: tuple[str, ...], timeout: int | None, no_deps: bool) -> None:
    """Restart service containers."""
    _do(options, Restart(services=services, timeout=seconds(timeout), no_deps=no_deps), "restart")


@click.command(cls=Command)
@SERVICES
@click.option("-s", "--signal", default="SIGKILL", metavar="SIGNAL", help="The signal to send (default SIGKILL).")
@click.option("--remove-orphans", is_flag=True, help="Remove containers of services that the project does not define.")
@click.pass_obj
def kill(options: GlobalOptions, services: tuple[str, ...], signal: str, remove_orphans: bool) -> None:
    """Force stop service containers."""
    plan = _do(options, Kill(services=services, signal=signal, remove_orphans=remove_orphans), "kill")
    if not plan.steps:
        output.note("no container to kill")


@click.command(cls=Command)
@SERVICES
@click.pass_obj
def pause(options: GlobalOptions, services: tuple[str, ...]) -> None:
    """Pause services."""
    _do(options, Pause(services=services), "pause")


@click.command(cls=Command)
@SERVICES
@click.pass_obj
def unpause(options: GlobalOptions, services: tuple[str, ...]) -> None:
    """Unpause services."""
    _do(options, Unpause(services=services), "unpause")


def seconds(timeout: int | None) -> float | None:
    """A ``--timeout``; negative ones are refused. Raises UsageError."""
    if timeout is not None and timeout < 0:
        raise UsageError(f"invalid timeout {timeout}", hint="a number of seconds, 0 or more")
    return None if timeout is None else float(timeout)


def _timeout(wait_timeout: int | None) -> float | None:
    """A ``--wait-timeout``; 0 is without end."""
    return seconds(wait_timeout) or None


def _do(options: GlobalOptions, intent: Intent, title: str) -> Plan:
    return carry_out(Change(options=options, project=project.known(options), intent=intent, title=title))
