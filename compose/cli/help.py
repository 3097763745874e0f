"""``help [COMMAND]``."""

from __future__ import annotations

import click

from compose.cli import output
from compose.cli.group import Command, LazyGroup


@click.command("help", cls=Command)
@click.argument("names", nargs=-1, metavar="[COMMAND]")
@click.pass_context
def help_(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Help about any command."""
    here = ctx.parent or ctx
    for name in names:
        if not isinstance(here.command, LazyGroup | click.Group):
            break
        _, command, _ = here.command.resolve_command(here, [name])
        here = click.Context(command or here.command, parent=here, info_name=name)
    output.data(here.get_help())
