"""``down``."""

from __future__ import annotations

import os

import click

from compose.cli import output, project
from compose.cli.change import Change, carry_out
from compose.cli.group import Command
from compose.cli.lifecycle import seconds
from compose.cli.options import GlobalOptions
from compose.intent import Down


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICES]")
@click.option("--remove-orphans", is_flag=True, help="Remove containers of services that the project does not define.")
@click.option("--rmi", type=click.Choice(["local", "all"]), help="Remove images; local: only those without a name of their own.")
@click.option("-t", "--timeout", type=int, metavar="SECONDS", help="Time between the stop signal and SIGKILL.")
@click.option("-v", "--volumes", is_flag=True, help="Remove named volumes that are not external, and anonymous ones.")
@click.pass_obj
def down(
    options: GlobalOptions, services: tuple[str, ...], remove_orphans: bool, rmi: str | None, timeout: int | None, volumes: bool
) -> None:
    """Stop and remove containers, networks."""
    intent = Down(
        services=services,
        volumes=volumes,
        rmi=rmi or "",
        remove_orphans=remove_orphans or orphans_variable("COMPOSE_REMOVE_ORPHANS"),
        timeout=seconds(timeout),
    )
    defined = project.known(options)
    plan = carry_out(Change(options=options, project=defined, intent=intent, title="down"))
    if not plan.steps and not services:
        output.warn(f'No resource found to remove for project "{defined.name}".')


def orphans_variable(name: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(name, "").strip().lower() in ("1", "true", "t", "yes")
