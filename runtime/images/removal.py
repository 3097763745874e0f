"""Removing images as `docker rmi` does: untag first, delete with the last name, refuse what containers or other names still need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runtime import store as files
from runtime.errors import ImageError, InUse
from runtime.images import maintenance
from runtime.images.reference import parse
from runtime.store import Paths

if TYPE_CHECKING:
    from runtime.images.store import ImageStore, Removed


def used_by(paths: Paths) -> Mapping[str, tuple[str, ...]]:
    """Image id → container names, from every container's ``image.json`` and ``spec.json``."""
    found: dict[str, list[str]] = {}
    for project in files.entries(paths.projects):
        for container in files.entries(f"{paths.projects}/{project}/containers"):
            directory = paths.container(project, container)
            image = _field(f"{directory}/image.json", "id")
            if image:
                found.setdefault(image, []).append(_field(f"{directory}/spec.json", "name") or container[:12])
    return {image: tuple(names) for image, names in found.items()}


def _field(path: str, key: str) -> str:
    text = files.read_file(path)
    try:
        return str(json.loads(text or b"{}").get(key, ""))
    except ValueError:
        return ""


def remove(store: ImageStore, reference: str, *, force: bool) -> Removed:
    """See ``ImageStore.remove``."""
    from runtime.images.store import Removed

    image = store.get(reference)
    with files.locked(store.catalog.lock):
        mine = [n for n, i in store.catalog.references().items() if i == image.id]
        going = _names_to_go(reference, image.id, mine, force=force)
        last = not [n for n in mine if n not in going and "@" not in n]
        users = store.used_by().get(image.id, ())
        if last and users and not force:
            raise InUse(
                f"the image {reference} is used by the container {', '.join(users[:5])}",
                hint="remove the container first, or use --force to untag only",
            )
        if last:
            going = mine
        store.catalog.write_references(dict.fromkeys(going))
        if last and not users:
            store.catalog.forget(image.id)
    untagged = tuple(parse(n).familiar for n in going)
    if not last or users:
        return Removed(untagged=untagged)
    return Removed(untagged=untagged, deleted=(image.id,), reclaimed=maintenance.collect(store))


def _names_to_go(reference: str, image_id: str, mine: list[str], *, force: bool) -> list[str]:
    try:
        name = parse(reference)
    except ImageError:
        name = None
    if name is not None and name.canonical in mine:
        tags_left = [n for n in mine if n != name.canonical and n.startswith(f"{name.name}:")]
        return [name.canonical, *(() if tags_left or name.digest else [n for n in mine if n.startswith(f"{name.name}@")])]
    repositories = {parse(n).name for n in mine}
    if len(repositories) > 1 and not force:
        shown = ", ".join(sorted(parse(n).familiar for n in mine if "@" not in n))
        raise InUse(f"the image {image_id[7:19]} has several names: {shown}", hint="name the one to remove, or use --force for all")
    return mine
