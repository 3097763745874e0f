"""``push``: built images of services."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from compose.cli import output, progress, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.cli.progress import Display
from compose.errors import ComposeError
from compose.model import Project
from runtime.errors import RuntimeFailure

if TYPE_CHECKING:
    from runtime.engine.images import TransferEvent


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
        references: list[str] = []
        for name in chosen:
            service = {**defined.disabled_services, **defined.services}[name]
            if service.build is None or not service.image:
                report.display.show(name, "Done", "Skipped")
            else:
                references += [service.image, *service.build.tags]
        pushing = _Pushing(report.display, keep_going=ignore_push_failures, dry_run=options.dry_run)
        pushing.all(list(dict.fromkeys(references)), options.parallel)


def _chosen(defined: Project, services: tuple[str, ...], include_deps: bool) -> list[str]:
    project.refuse_undefined(services, {**defined.services, **defined.disabled_services})
    if not services:
        return sorted(defined.services)
    if not include_deps:
        return list(services)
    from compose import graph

    return sorted(graph.closure(graph.enable(defined, services), services))


class _Pushing:
    """Images pushed side by side. The first failure ends the others, unless they are to ``keep_going``."""

    def __init__(self, display: Display, *, keep_going: bool, dry_run: bool) -> None:
        self._display, self._keep_going, self._dry_run = display, keep_going, dry_run
        self._lock = threading.Lock()  # lines of several images must not run into each other
        self._cancel = threading.Event()

    def all(self, references: Sequence[str], parallel: int) -> None:
        """Push them, ``parallel`` at a time (below 1: no limit). Raises the first failure."""
        from runtime.engine import images

        jobs = [partial(self._one, reference) for reference in references]
        images.side_by_side(jobs, parallel if parallel > 0 else len(jobs), self._cancel)

    def _one(self, reference: str) -> None:
        from runtime.engine import images

        resource = f"Image {reference}"
        self._show(resource, "Working", "Pushing")
        try:
            if not self._dry_run:
                images.push(reference, progress=partial(self._told, resource), cancel=self._cancel)
        except (ComposeError, RuntimeFailure) as failure:
            self._show(resource, "Error", f"Error {failure.message}")
            if not self._keep_going:
                raise
            with self._lock:
                output.warn(failure.message)
        else:
            self._show(resource, "Done", "Pushed")

    def _told(self, resource: str, event: TransferEvent) -> None:
        self._show(resource, "Working", f"{event.id} {event.status}".strip(), event.current, event.total)

    def _show(self, resource: str, status: str, text: str, current: int = 0, total: int = 0) -> None:
        with self._lock:
            self._display.show(resource, status, text, current=current, total=total)
