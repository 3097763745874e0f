"""Replaces image tags by digests in a loaded tree; for ``config --resolve-image-digests`` and ``--lock-image-digests``. Asks whoever is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from compose.loader.project import Loaded
from compose.schema.tree import Map


def pin(loaded: Loaded, resolve: Callable[[Sequence[str]], Mapping[str, str]], *, only: bool) -> None:
    """Write ``image@digest`` for every service that is on; ``only`` leaves nothing else in the tree."""
    services = loaded.tree.get("services")
    if not isinstance(services, Map):
        return
    images = {name: str(image) for name in loaded.on if isinstance(item := services[name], Map) and (image := item.get("image"))}
    wanted = sorted({image for image in images.values() if "@" not in image})
    digests = resolve(wanted)
    locked = Map(services.origin)
    for name, image in images.items():
        item = services[name]
        if isinstance(item, Map):
            item["image"] = f"{image}@{digests[image]}" if image in digests else image
            entry = Map(item.origin)
            entry.adopt("image", item["image"], item)
            locked.put(name, entry, item.origin)
    if only:
        for key in list(loaded.tree):
            loaded.tree.drop(key)
        loaded.tree.put("services", locked, services.origin)
        loaded.on = set(locked)
