"""``port``."""

from __future__ import annotations

import click

from compose.cli import output, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.cli.ports import published
from compose.errors import UsageError


@click.command(cls=Command)
@click.argument("service")
@click.argument("private_port", type=int, metavar="PRIVATE_PORT")
@click.option("--index", type=int, default=0, help="Number of the container, when the service has several.")
@click.option("--protocol", type=click.Choice(["tcp", "udp", "sctp"]), default="tcp", help="tcp or udp.")
@click.pass_obj
def port(options: GlobalOptions, service: str, private_port: int, index: int, protocol: str) -> None:
    """Print the public port for a port binding."""
    state = project.one(options, service, index)
    ports = [p for p in published(state) if p.public]
    for found in ports:
        if (found.private, found.protocol) == (private_port, protocol):
            output.data(found.host)
            return
    others = ", ".join(f"{p.private}/{p.protocol}->{p.host}" for p in ports)
    raise UsageError(
        f"no port {private_port}/{protocol} for container {state.spec.name}: {others}",
        hint=None if ports else f"publish it: services.{service}.ports",
    )
