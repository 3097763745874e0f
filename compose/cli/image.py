"""``image``: the group of commands about images; each lies in a module of its own subject."""

from __future__ import annotations

import click

from compose.cli import output
from compose.cli.group import Lazy, LazyGroup

_COMMANDS = {
    "bootstrap": Lazy("compose.cli.image_transfer:bootstrap", "Make a base image from the distribution's packages"),
    "df": Lazy("compose.cli.image_keeping:df", "Show disk usage"),
    "export": Lazy("compose.cli.image_archive:export", "Write an image's root file system as a tar archive"),
    "history": Lazy("compose.cli.image_listing:history", "Show the history of an image"),
    "import": Lazy("compose.cli.image_archive:import_", "Make an image from a root file system's tar archive"),
    "inspect": Lazy("compose.cli.image_listing:inspect", "Display detailed information on images"),
    "list": Lazy("compose.cli.image_listing:ls", "Alias of ls", hidden=True),
    "load": Lazy("compose.cli.image_archive:load", "Load images from a tar archive"),
    "ls": Lazy("compose.cli.image_listing:ls", "List images"),
    "prune": Lazy("compose.cli.image_keeping:prune", "Remove unused images"),
    "pull": Lazy("compose.cli.image_transfer:pull", "Download images from a registry"),
    "push": Lazy("compose.cli.image_transfer:push", "Upload images to a registry"),
    "remove": Lazy("compose.cli.image_keeping:rm", "Alias of rm", hidden=True),
    "rm": Lazy("compose.cli.image_keeping:rm", "Remove images"),
    "save": Lazy("compose.cli.image_archive:save", "Save images to a tar archive"),
    "tag": Lazy("compose.cli.image_keeping:tag", "Give an image a further name"),
    "verify": Lazy("compose.cli.image_keeping:verify", "Compare everything in the store with its digests"),
}


@click.group(cls=LazyGroup, table=_COMMANDS, invoke_without_command=True, no_args_is_help=False)
@click.pass_context
def image(ctx: click.Context) -> None:
    """Manage images."""
    if ctx.invoked_subcommand is None:
        output.data(ctx.get_help())
