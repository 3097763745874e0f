"""``plan``: what ``up`` would do, as text, both stages; ``up --dry-run`` prints the same."""

from __future__ import annotations

from dataclasses import replace

import click

from compose.cli import project
from compose.cli.change import Change, carry_out
from compose.cli.converge import converge_options
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.cli.up import Flags, intent, refuse


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@converge_options
@click.option("--no-deps", is_flag=True, help="Leave dependencies alone.")
@click.option("--no-start", is_flag=True, help="Plan the creation only.")
@click.option("--always-recreate-deps", is_flag=True, help="Recreate dependencies, too.")
@click.option("-V", "--renew-anon-volumes", is_flag=True, help="Make anonymous volumes anew.")
@click.option("--wait", is_flag=True, help="Plan the waiting, too.")
@click.pass_obj
def plan(options: GlobalOptions, /, services: tuple[str, ...], **said: object) -> None:
    """Print what up would do, step by step, and why. Changes nothing."""
    flags = Flags(**{**_REST, **said})  # type: ignore[arg-type]
    refuse(flags)
    carry_out(
        Change(
            options=replace(options, dry_run=True),
            project=project.load(options),
            intent=intent(flags, services, options),
            title="plan",
        )
    )


_REST: dict[str, object] = {
    "abort_on_container_exit": False,
    "abort_on_container_failure": False,
    "attach": (),
    "attach_dependencies": False,
    "detach": True,
    "exit_code_from": None,
    "menu": False,
    "no_attach": (),
    "no_color": False,
    "no_log_prefix": False,
    "timeout": None,
    "timestamps": False,
    "wait_timeout": None,
    "watch": False,
}
