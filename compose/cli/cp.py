"""``cp``: files between services' containers and here, or a tar stream (``-``)."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click

from compose.cli import listing, localtar, output, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime import observe
from runtime.state import ContainerState

_IN_SERVICE = re.compile(r"([a-zA-Z0-9][a-zA-Z0-9_.-]*):(.*)", re.DOTALL)


@click.command(cls=Command)
@click.argument("source", metavar="SERVICE:SRC_PATH|SRC_PATH|-")
@click.argument("destination", metavar="DEST_PATH|-|SERVICE:DEST_PATH")
@click.option("--all", "everything", is_flag=True, help="Copy to containers made by run, too.")
@click.option("-a", "--archive", is_flag=True, help="Keep owner and group.")
@click.option("-L", "--follow-link", is_flag=True, help="Follow a symbolic link in SRC_PATH.")
@click.option("--index", type=int, default=0, help="Number of the container, when the service has several.")
@click.pass_obj
def cp(options: GlobalOptions, source: str, destination: str, everything: bool, archive: bool, follow_link: bool, index: int) -> None:
    """Copy files/folders between a service container and the local filesystem."""
    there, here = _IN_SERVICE.fullmatch(source), _IN_SERVICE.fullmatch(destination)
    if there and here:
        raise UsageError("copying between services is not supported", hint="copy here first, then there")
    if there:
        state = _containers(options, there[1], index, everything)[0]
        with _said(options, state, source, destination):
            if not options.dry_run:
                _from_container(state, there[2], destination, follow=follow_link, keep_owner=archive)
    elif here:
        for state in _containers(options, here[1], index, everything):
            with _said(options, state, source, destination):
                if not options.dry_run:
                    _to_container(state, source, here[2], follow=follow_link, keep_owner=archive)
    else:
        raise UsageError("unknown copy direction", hint="one side is SERVICE:PATH")


def _containers(options: GlobalOptions, service: str, index: int, everything: bool) -> list[ContainerState]:
    """From: the first; to: all."""
    states = observe.containers(project.name(options))
    mine = listing.by_number(s for s in states if listing.service(s) == service)
    replicas = [s for s in mine if everything or not listing.is_oneoff(s)] or mine
    chosen = [s for s in replicas if not index or (listing.number(s) == index and not listing.is_oneoff(s))]
    if not chosen:
        project.refuse_unknown(options, [service], states)
        raise UsageError(f'no container found for service "{service}"{f" at index {index}" if index else ""}')
    return chosen


@contextmanager
def _said(options: GlobalOptions, state: ContainerState, source: str, destination: str) -> Iterator[None]:
    """Say what is copied, and that it was."""
    if options.progress == "quiet" or destination == "-":
        yield
        return
    prefix = " DRY-RUN MODE - " if options.dry_run else ""
    output.note(f"{prefix} {state.spec.name} copy {source} to {destination} Copying")
    yield
    output.note(f"{prefix} {state.spec.name} copy {source} to {destination} Copied")


def _from_container(state: ContainerState, path: str, destination: str, *, follow: bool, keep_owner: bool) -> None:
    from runtime.engine import archive

    if destination == "-":
        output.flush()
        archive.pack(state.spec.id, path, 1, follow=follow)
        return
    found = archive.stat_path(state.spec.id, path, follow=follow)
    if found is None:
        raise UsageError(f"Could not find the file {path} in container {state.spec.name}")
    directory, name = _local_target(destination, found.name, is_directory=found.is_directory, contents=path.endswith("/."))
    with tempfile.TemporaryFile() as file:
        archive.pack(state.spec.id, path, file.fileno(), follow=follow)
        file.seek(0)
        localtar.unpack(file, directory, name, keep_owner=keep_owner)


def _local_target(destination: str, name: str, *, is_directory: bool, contents: bool) -> tuple[str, str]:
    """The directory to unpack into, and what the copy is called there (as ``docker cp`` decides)."""
    if os.path.isdir(destination):
        return destination, "." if contents else name
    if os.path.exists(destination) and is_directory:
        raise UsageError(f"cannot copy directory to {destination}: it is a file")
    if destination.endswith("/") and not is_directory:
        raise UsageError(f"{destination}: no such directory")
    parent = os.path.dirname(os.path.abspath(destination))
    if not os.path.isdir(parent):
        raise UsageError(f"{parent}: no such directory")
    return parent, os.path.basename(os.path.abspath(destination))


def _to_container(state: ContainerState, source: str, path: str, *, follow: bool, keep_owner: bool) -> None:
    from runtime.engine import archive

    if source == "-":
        archive.unpack(state.spec.id, path, 0, keep_owner=keep_owner)
        return
    try:
        local = os.stat(source) if follow else os.lstat(source)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}") from None
    directory, name = _container_target(state, source, path, is_directory=stat.S_ISDIR(local.st_mode))
    with tempfile.TemporaryFile() as file:
        localtar.write(source, name, file, follow=follow)
        _rewind(file)
        archive.unpack(state.spec.id, directory, file.fileno(), keep_owner=keep_owner)


def _container_target(state: ContainerState, source: str, path: str, *, is_directory: bool) -> tuple[str, str]:
    """The directory in the container to unpack into, and what the copy is called there."""
    from runtime.engine import archive

    absolute = path if path.startswith("/") else f"/{path}"
    found = archive.stat_path(state.spec.id, absolute, follow=True)
    if found is not None and found.is_directory:
        return absolute, "." if source.endswith("/.") else os.path.basename(os.path.abspath(source))
    if found is not None and is_directory:
        raise UsageError(f"cannot copy directory to {path}: it is a file")
    if found is None and path.endswith("/") and not is_directory:
        raise UsageError(f"{path}: no such directory in container {state.spec.name}")
    return os.path.dirname(absolute.rstrip("/")) or "/", os.path.basename(absolute.rstrip("/"))


def _rewind(file: BinaryIO) -> None:
    file.flush()
    os.lseek(file.fileno(), 0, os.SEEK_SET)
