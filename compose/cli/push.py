"""``push``: built images of services."""

from __future__ import annotations

import click

from compose.cli import output, progress, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.cli.progress import Display
from compose.errors import ComposeError
from compose.model import Project
from runtime.errors import RuntimeFailure


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--ignore-push-failures", is_flag=True, help="Push what can be pushed; failures are warnings.")
@click.option("--include-deps", is_flag=True, help="Push images of dependencies, too.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.pass_obj
def push(options: GlobalOptions, services: tuple[str, ...], ignore_push_failures: bool, include_deps: bool, quiet: bool) -> None:
    """Push service images."""
    defined = project.load(options)
    chosen = _chosen(defined, services, include_deps)
    with progress.opened(options, "push", quiet=quiet) as report:
        for name in chosen:
            service = {**defined.disabled_services, **defined.services}[name]
            if service.build is None or not service.image:
                report.display.show(name, "Done", "Skipped")
                continue
            if options.dry_run:
                report.display.show(service.image, "Done", "Pushed")
                continue
            try:
                _push(service.image, report.display)
            except (ComposeError, RuntimeFailure) as failure:
                report.display.show(f"Image {service.image}", "Error", f"Error {failure.message}")
                if not ignore_push_failures:
                    raise
                output.warn(failure.message)


def _chosen(defined: Project, services: tuple[str, ...], include_deps: bool) -> list[str]:
    project.refuse_undefined(services, {**defined.services, **defined.disabled_services})
    if not services:
        return sorted(defined.services)
    if not include_deps:
        return list(services)
    from compose import graph

    return sorted(graph.closure(graph.enable(defined, services), services))


def _push(reference: str, display: Display) -> None:
    from runtime.engine import images

    resource = f"Image {reference}"
    display.show(resource, "Working", "Pushing")

    def told(event: images.TransferEvent) -> None:
        display.show(resource, "Working", f"{event.id} {event.status}".strip(), current=event.current, total=event.total)

    images.push(reference, progress=told)
    display.show(resource, "Done", "Pushed")
