"""``scale``."""

from __future__ import annotations

import click

from compose.cli import project
from compose.cli.change import Change, carry_out
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from compose.intent import Scale


@click.command(cls=Command)
@click.argument("wanted", nargs=-1, required=True, metavar="SERVICE=NUM...")
@click.option("--no-deps", is_flag=True, help="Leave dependencies alone.")
@click.pass_obj
def scale(options: GlobalOptions, wanted: tuple[str, ...], no_deps: bool) -> None:
    """Scale services."""
    counts = dict(_wanted(text) for text in wanted)
    intent = Scale(scale=counts, no_deps=no_deps, compatibility=options.compatibility)
    carry_out(Change(options=options, project=project.load(options), intent=intent, title="scale"))


def _wanted(text: str) -> tuple[str, int]:
    service, equals, count = text.partition("=")
    if not equals or not service or not count.isdigit():
        raise UsageError(f"invalid scale specifier: {text}", hint="SERVICE=NUM, for example web=3")
    return service, int(count)
