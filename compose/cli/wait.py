"""``wait``: block until containers have ended."""

from __future__ import annotations

import queue
import threading

import click

from compose.cli import output, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime.errors import RuntimeFailure


@click.command(cls=Command)
@click.argument("services", nargs=-1, required=True, metavar="SERVICE [SERVICE...]")
@click.option("--down-project", is_flag=True, help="Take the project down when the first container has ended.")
@click.pass_obj
def wait(options: GlobalOptions, services: tuple[str, ...], down_project: bool) -> int:
    """Block until containers of all (or specified) services stop."""
    running = [s.spec.id for s in project.containers(options, services)]
    if not running:
        raise UsageError(f'no containers for project "{project.name(options)}"', hint=f"none of {', '.join(services)} runs")
    ends: queue.Queue[tuple[str, int | RuntimeFailure]] = queue.Queue()
    for container in running:
        threading.Thread(target=_wait, args=(container, ends), daemon=True).start()
    code = 0
    for position in range(len(running)):
        container, end = ends.get()
        if isinstance(end, RuntimeFailure):
            raise end
        code = end
        output.data(f'container "{container}" exited with status code {code}')
        output.flush()
        if down_project and position == 0:
            _down(options)
    return code


def _wait(container: str, ends: queue.Queue[tuple[str, int | RuntimeFailure]]) -> None:
    from runtime.engine import access

    try:
        ends.put((container, access.wait_for_end(container)))
    except RuntimeFailure as failure:
        ends.put((container, failure))


def _down(options: GlobalOptions) -> None:
    from compose.cli.change import Change, carry_out
    from compose.intent import Down

    carry_out(Change(options=options, project=project.known(options), intent=Down(), title="down"))
