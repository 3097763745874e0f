"""``images``: what the project's containers are made of."""

from __future__ import annotations

import time

import click

from compose.cli import human, output, project, table
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from runtime.state import ContainerState, ImageState

_HEADINGS = ["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"]


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="Format the output.")
@click.option("-q", "--quiet", is_flag=True, help="Only show ids.")
@click.pass_obj
def images(options: GlobalOptions, services: tuple[str, ...], form: str, quiet: bool) -> None:
    """List images used by the created containers."""
    from runtime.engine import images as store

    states = sorted(project.containers(options, services, stopped=True), key=lambda s: s.spec.name)
    known = {s.id: s for s in store.images()} if states else {}
    if quiet:
        ids = dict.fromkeys(s.spec.image_id.removeprefix("sha256:") for s in states)
        output.write("".join(f"{i}\n" for i in ids))
    elif form == "json":
        output.data(table.as_json([_record(s, known.get(s.spec.image_id)) for s in states]))
    else:
        output.write(table.aligned([_HEADINGS, *(_row(s, known.get(s.spec.image_id)) for s in states)], minimum=20))


def _record(state: ContainerState, image: ImageState | None) -> dict[str, object]:
    repository, tag = split(state.spec.image)
    return {
        "ID": state.spec.image_id,
        "ContainerName": state.spec.name,
        "Repository": repository,
        "Tag": tag,
        "Platform": _platform(state),
        "Size": image.size if image else 0,
        "LastTagTime": human.timestamp(image.created_at if image else 0),
    }


def _row(state: ContainerState, image: ImageState | None) -> list[str]:
    repository, tag = split(state.spec.image)
    size = human.size(image.size) if image else "N/A"
    created = f"{human.duration((time.time_ns() - image.created_at) / 1e9)} ago" if image and image.created_at else "N/A"
    return [state.spec.name, repository, tag, _platform(state), state.spec.image_id.removeprefix("sha256:")[:12], size, created]


def _platform(state: ContainerState) -> str:
    config = state.image
    parts = (config.os, config.architecture, config.variant)
    return "/".join(p for p in parts if p)


def split(reference: str) -> tuple[str, str]:
    """Repository and tag of a reference; "<none>" for an image that is named by digest or not at all."""
    if reference.startswith("sha256:"):
        return "<none>", "<none>"
    name, at, _ = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "<none>" if at else "latest"
    return repository, tag
