"""``image pull``, ``image push``, ``image bootstrap``: with progress, live on a terminal, plain lines or JSON otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from compose.cli import output, progress
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from runtime.engine import images


@click.command(cls=Command)
@click.argument("references", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--platform", default="", metavar="OS/ARCH", help="Platform to pull (default: this machine's).")
@click.option("-q", "--quiet", is_flag=True, help="Only print the names.")
@click.option("--missing", is_flag=True, help="Leave images alone that are there.")
@click.pass_obj
def pull(options: GlobalOptions, references: tuple[str, ...], platform: str, quiet: bool, missing: bool) -> None:
    """Download images from a registry."""
    for reference in references:
        if missing and images.store().find(reference) is not None:
            continue
        if options.dry_run:
            output.note(f"would pull {reference}")
            continue
        with _reporting(options, "pull", quiet) as report:
            state = images.pull(reference, platform=platform or None, progress=report)
        output.data(reference if quiet else f"{reference}: {state.id}")


@click.command(cls=Command)
@click.argument("references", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-q", "--quiet", is_flag=True, help="Only print the digests.")
@click.pass_obj
def push(options: GlobalOptions, references: tuple[str, ...], quiet: bool) -> None:
    """Upload images to a registry."""
    for reference in references:
        if options.dry_run:
            output.note(f"would push {reference}")
            continue
        with _reporting(options, "push", quiet) as report:
            digest = images.push(reference, progress=report)
        output.data(digest if quiet else f"{reference}: digest: {digest}")


@click.command(cls=Command)
@click.argument("reference", metavar="IMAGE")
@click.option("--mirror", default="", metavar="URL", help="Package archive to use instead of the host's own.")
@click.option("--missing", is_flag=True, help="Do nothing when the image is there.")
@click.option("-q", "--quiet", is_flag=True, help="Only print the id.")
@click.pass_obj
def bootstrap(options: GlobalOptions, reference: str, mirror: str, missing: bool, quiet: bool) -> None:
    """Make debian:<suite>[-slim], ubuntu:<suite> or busybox from the distribution's packages, without a registry."""
    if missing and images.store().find(reference) is not None:
        return
    if options.dry_run:
        output.note(f"would bootstrap {reference}")
        return
    with _reporting(options, "bootstrap", quiet) as report:
        state = images.bootstrap(reference, mirror=mirror, progress=report)
    output.data(state.id)


@contextmanager
def _reporting(options: GlobalOptions, title: str, quiet: bool) -> Iterator[Callable[[images.TransferEvent], None]]:
    """Events come from several threads; a display wants them one by one."""
    lock = threading.Lock()
    with progress.opened(options, title, quiet=quiet) as shown:

        def report(event: images.TransferEvent) -> None:
            with lock:
                resource = event.id or f"Image {event.reference}"
                shown.display.show(resource, _status(event), event.status, current=event.current, total=event.total)

        yield report


def _status(event: images.TransferEvent) -> str:
    ends = ("Pull complete", "Already exists", "Pushed", "Layer already exists", "Mounted", "Status:", "Digest:", "success")
    return "Done" if event.status.startswith(ends) or ": digest: " in event.status else "Working"
