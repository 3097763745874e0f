"""``ps``."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from compose.cli import listing, output, project, table
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime import observe
from runtime.state import ContainerState, Status

COLUMNS = {
    "Name": "NAME",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "Service": "SERVICE",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Ports": "PORTS",
}
HEADERS = {"ID": "CONTAINER ID", "CreatedAt": "CREATED AT", "LocalVolumes": "LOCAL VOLUMES", "ExitCode": "EXIT CODE"}


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("-a", "--all", "everything", is_flag=True, help="Show stopped containers and those made by run, too.")
@click.option("--filter", "filters", multiple=True, metavar="FILTER", help="Filter services by a property (status=...).")
@click.option("--format", "form", default="table", help="table, table TEMPLATE, json or a Go TEMPLATE.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("--orphans/--no-orphans", default=True, help="Include services that the project does not declare (default true).")
@click.option("-q", "--quiet", is_flag=True, help="Only show ids.")
@click.option("--services", "only_services", is_flag=True, help="Only show services.")
@click.option("--status", "statuses", multiple=True, metavar="STATUS", help="Filter by status.")
@click.pass_obj
def ps(
    options: GlobalOptions,
    services: tuple[str, ...],
    everything: bool,
    filters: tuple[str, ...],
    form: str,
    no_trunc: bool,
    orphans: bool,
    quiet: bool,
    only_services: bool,
    statuses: tuple[str, ...],
) -> None:
    """List containers."""
    wanted = (*statuses, *(_status_filter(f) for f in filters))
    shown = _chosen(options, services, everything or bool(wanted), wanted)
    if not orphans:
        declared = project.known(options).services
        shown = [s for s in shown if listing.service(s) in declared]
    if quiet:
        output.write("".join(f"{s.spec.id}\n" for s in shown))
    elif only_services:
        output.write("".join(f"{s}\n" for s in dict.fromkeys(listing.service(s) for s in shown)))
    else:
        rows = [listing.row(s, time.time_ns(), truncate=not no_trunc) for s in shown]
        output.write(table.formatted(rows, form, columns=COLUMNS, headers=HEADERS))


def _chosen(options: GlobalOptions, services: Sequence[str], everything: bool, statuses: Sequence[str]) -> list[ContainerState]:
    states = observe.containers(project.name(options))
    project.refuse_unknown(options, services, states)
    chosen = [s for s in states if not services or listing.service(s) in services]
    if statuses:
        return [s for s in chosen if s.process.status.value in statuses]
    return [s for s in chosen if everything or (s.running and not listing.is_oneoff(s))]


def _status_filter(text: str) -> str:
    key, equals, value = text.partition("=")
    if key != "status" or not equals:
        raise UsageError(f"unknown filter {text}", hint="--filter status=running")
    if value not in set(Status):
        raise UsageError(f"unknown status {value}", hint=f"there are {', '.join(Status)}")
    return value
