"""``version``."""

from __future__ import annotations

import json

import click

from compose import __version__
from compose.cli import output
from compose.cli.group import Command


@click.command(cls=Command)
@click.option("-f", "--format", "form", type=click.Choice(["pretty", "json"]), default="pretty", help="Format the output.")
@click.option("--short", is_flag=True, help="Show the version number only.")
def version(form: str, short: bool) -> None:
    """Show the version information."""
    if short:
        output.data(__version__)
    elif form == "json":
        output.data(json.dumps({"version": f"v{__version__}"}, separators=(",", ":")))
    else:
        output.data(f"pycompose version v{__version__}")
