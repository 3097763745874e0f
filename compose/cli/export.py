"""``export``."""

from __future__ import annotations

import os
import sys

import click

from compose.cli import output, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError


@click.command(cls=Command)
@click.argument("service")
@click.option("--index", type=int, default=0, help="Number of the container, when the service has several.")
@click.option("-o", "--output", "target", metavar="FILE", help="Write to a file instead of standard output.")
@click.pass_obj
def export(options: GlobalOptions, service: str, index: int, target: str | None) -> None:
    """Export a service container's filesystem as a tar archive."""
    state = project.one(options, service, index, running=False)
    if target is None and sys.stdout.isatty():
        raise UsageError("output option is required when exporting to terminal", hint="-o FILE")
    if options.dry_run:
        return
    from runtime.engine import archive

    if target is None:
        output.flush()
        archive.export(state.spec.id, 1)
        return
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        archive.export(state.spec.id, file.fileno())
