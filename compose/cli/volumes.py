"""``volumes``: the project's volumes."""

from __future__ import annotations

import click

from compose.cli import listing, output, project, table
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from runtime import observe
from runtime.state import VolumeState


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--format", "form", default="table", help="table, table TEMPLATE, json or a Go TEMPLATE.")
@click.option("-q", "--quiet", is_flag=True, help="Only show names.")
@click.pass_obj
def volumes(options: GlobalOptions, services: tuple[str, ...], form: str, quiet: bool) -> None:
    """List volumes."""
    name = project.name(options)
    states = observe.containers(name)
    project.refuse_unknown(options, services, states)
    used = {m.volume for s in states if listing.service(s) in services for m in s.spec.mounts if m.kind == "volume"}
    ours = [v for v in observe.volumes() if v.spec.labels.get(listing.PROJECT) == name]
    rows = [_row(v) for v in ours if not services or v.spec.name in used]
    if quiet:
        output.write("".join(f"{r['Name']}\n" for r in rows))
    else:
        output.write(table.formatted(rows, form, columns={"Driver": "DRIVER", "Name": "VOLUME NAME"}))


def _row(volume: VolumeState) -> dict[str, str]:
    return {
        "Availability": "N/A",
        "Driver": volume.spec.driver,
        "Group": "N/A",
        "Labels": ",".join(f"{k}={v}" for k, v in volume.spec.labels.items()),
        "Links": "N/A",
        "Mountpoint": volume.mountpoint,
        "Name": volume.spec.name,
        "Scope": "local",
        "Size": "N/A",
        "Status": "N/A",
    }
