"""``create``."""

from __future__ import annotations

import click

from compose.cli import project
from compose.cli.change import Change, carry_out
from compose.cli.converge import converge_options, ignore_orphans, scales
from compose.cli.converge import remove_orphans as orphans_variable
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from compose.intent import Create


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@converge_options
@click.pass_obj
def create(
    options: GlobalOptions,
    services: tuple[str, ...],
    build: bool,
    no_build: bool,
    force_recreate: bool,
    no_recreate: bool,
    pull: str,
    quiet_build: bool,
    quiet_pull: bool,
    remove_orphans: bool,
    scale: tuple[str, ...],
    yes: bool,
) -> None:
    """Creates containers for a service."""
    if build and no_build:
        raise UsageError("--build and --no-build are incompatible")
    if force_recreate and no_recreate:
        raise UsageError("--force-recreate and --no-recreate are incompatible")
    intent = Create(
        services=services,
        build=build,
        no_build=no_build,
        pull=pull,
        force_recreate=force_recreate,
        no_recreate=no_recreate,
        scale=scales(scale),
        remove_orphans=remove_orphans or orphans_variable(),
        ignore_orphans=ignore_orphans(),
        yes=yes,
        compatibility=options.compatibility,
    )
    defined = project.load(options)
    carry_out(Change(options=options, project=defined, intent=intent, title="create", quiet_images=quiet_build or quiet_pull))
