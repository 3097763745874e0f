"""``commit``: a new image of a container's changes."""

from __future__ import annotations

import click

from compose.cli import output, project
from compose.cli.change import perform
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.plan import PauseContainer, Plan, Step, UnpauseContainer
from runtime.state import ContainerState, Status


@click.command(cls=Command)
@click.argument("service")
@click.argument("reference", required=False, default="", metavar="[REPOSITORY[:TAG]]")
@click.option("-a", "--author", default="", metavar="AUTHOR", help="The author (for example, 'A B <a@b.example>').")
@click.option("-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Apply a Dockerfile instruction.")
@click.option("--index", type=int, default=0, help="Number of the container, when the service has several.")
@click.option("-m", "--message", default="", metavar="TEXT", help="A message.")
@click.option("-p", "--pause/--no-pause", default=True, help="Pause the container meanwhile (default true).")
@click.pass_obj
def commit(
    options: GlobalOptions, service: str, reference: str, author: str, changes: tuple[str, ...], index: int, message: str, pause: bool
) -> None:
    """Create a new image from a service container's changes."""
    state = project.one(options, service, index, running=False)
    if options.dry_run:
        return
    from runtime.engine import images

    freeze = pause and state.process.status is Status.RUNNING
    if freeze:
        _freeze(options, state, frozen=True)
    try:
        made = images.commit(state.spec.project, state.spec.id, reference, changes=changes, author=author, message=message)
    finally:
        if freeze:
            _freeze(options, state, frozen=False)
    output.data(made.id)


def _freeze(options: GlobalOptions, state: ContainerState, *, frozen: bool) -> None:
    from compose.model import Project

    kind = PauseContainer if frozen else UnpauseContainer
    step = Step(id="commit.pause" if frozen else "commit.unpause", operation=kind(container=state.spec.id, name=state.spec.name))
    name = state.spec.project
    perform(options, Project(name=name, working_dir=""), Plan(project=name, steps=(step,)), "commit", quiet=True)
