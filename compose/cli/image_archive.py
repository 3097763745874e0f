"""``image import``, ``load``, ``save``, ``export``: images in and out of files and pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click

from compose.cli import output
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime.engine import images


@click.command("import", cls=Command)
@click.argument("archive", metavar="FILE|-")
@click.argument("reference", default="", metavar="[IMAGE]")
@click.option("-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help='A Dockerfile instruction, as CMD ["sh"].')
@click.option("-m", "--message", default="", help="A comment for the history.")
@click.pass_obj
def import_(options: GlobalOptions, archive: str, reference: str, changes: tuple[str, ...], message: str) -> None:
    """Make an image of one layer from a root file system's tar archive (plain, gzip or zstd)."""
    if options.dry_run:
        output.note(f"would import {archive} as {reference or 'an image without a name'}")
        return
    with _reading(archive) as file:
        output.data(images.import_root(file, reference, changes, message).id)


@click.command(cls=Command)
@click.argument("archive", default="", metavar="[FILE]")
@click.option("-i", "--input", "source", default="", metavar="FILE", help="Read from a file instead of stdin.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.pass_obj
def load(options: GlobalOptions, archive: str, source: str, quiet: bool) -> None:
    """Load images from a `docker save` archive or an OCI layout in a tar."""
    with _reading(source or archive or "-") as file:
        if options.dry_run:
            output.note("would load the archive")
            return
        for name in images.load(file):
            if not quiet:
                output.data(f"Loaded image{' ID' if name.startswith('sha256:') else ''}: {name}")


@click.command(cls=Command)
@click.argument("references", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-o", "--output", "target", default="", metavar="FILE", help="Write to a file instead of stdout.")
@click.option("--format", "form", type=click.Choice(["docker", "oci"]), default="docker", help="docker is read by OCI tools, too.")
def save(references: tuple[str, ...], target: str, form: str) -> None:
    """Save images to a tar archive."""
    for reference in references:
        images.get(reference)
    with _writing(target) as file:
        images.save(references, file, form)


@click.command(cls=Command)
@click.argument("reference", metavar="IMAGE")
@click.option("-o", "--output", "target", default="", metavar="FILE", help="Write to a file instead of stdout.")
def export(reference: str, target: str) -> None:
    """Write an image's whole root file system as one tar archive."""
    chunks = images.export(reference)
    with _writing(target) as file:
        for chunk in chunks:
            file.write(chunk)


@contextmanager
def _reading(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        if sys.stdin.isatty():
            raise UsageError("requested load from stdin, but stdin is a terminal", hint="name a file, or redirect one: < image.tar")
        yield sys.stdin.buffer
        return
    with open(path, "rb") as file:
        yield file


@contextmanager
def _writing(path: str) -> Iterator[BinaryIO]:
    """A file that appears whole or not at all, or stdout."""
    if not path or path == "-":
        if sys.stdout.isatty():
            raise UsageError("cowardly refusing to save to a terminal", hint="use -o FILE or redirect")
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise output.OutputClosed from None
        return
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
