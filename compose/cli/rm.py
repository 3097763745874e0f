"""``rm``."""

from __future__ import annotations

import click

from compose.cli import listing, output, project
from compose.cli.change import Change, carry_out
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.intent import Rm
from runtime import observe


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-s", "--stop", "stop_first", is_flag=True, help="Stop running containers first.")
@click.option("-v", "--volumes", is_flag=True, help="Remove anonymous volumes, too.")
@click.option("-a", "--all", "everything", is_flag=True, hidden=True)
@click.pass_obj
def rm(options: GlobalOptions, services: tuple[str, ...], force: bool, stop_first: bool, volumes: bool, everything: bool) -> None:
    """Removes stopped service containers."""
    defined = project.known(options)
    known = {**defined.services, **defined.disabled_services}
    project.refuse_undefined(services, known)
    names = _names(defined.name, services or tuple(known), stop_first)
    if not names:
        output.note("No stopped containers")
        return
    if not options.dry_run:
        output.data(f"Going to remove {', '.join(names)}")
        output.flush()
        if not force and not output.confirm("Are you sure?"):
            return
    carry_out(Change(options=options, project=defined, intent=Rm(services=services, stop=stop_first, volumes=volumes), title="rm"))


def _names(project_name: str, services: tuple[str, ...], stop_first: bool) -> list[str]:
    states = [s for s in observe.containers(project_name) if listing.service(s) in services and not listing.is_oneoff(s)]
    return [s.spec.name for s in states if stop_first or not s.running]
