"""Keeping the store's house: garbage collection, prune, disk usage, verification. In the process that was asked for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runtime import store as files
from runtime.errors import ImageError
from runtime.images import config as configs
from runtime.images import digest as digests
from runtime.images import leases, partial
from runtime.images.reference import parse
from runtime.record import dataclass

if TYPE_CHECKING:
    from runtime.images.store import ImageStore
    from runtime.state import ImageState


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a prune did: references, image ids, bytes freed on disk."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    reclaimed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerUsage:
    """One layer on disk: bytes as the disk counts them, the images that share it, and whether the build cache wants it."""

    diff_id: str
    size: int
    images: tuple[str, ...] = ()
    pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """The store on disk, bytes as `du` counts them. ``total`` is everything; ``reclaimable`` what `prune --all` and a collection would free."""

    total: int
    layers: tuple[LayerUsage, ...]
    cache: int
    other: int
    images: int
    active: int
    reclaimable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something that is not what its digest says: ``kind`` is layer, image, manifest or reference."""

    kind: str
    name: str
    problem: str


def pins(store: ImageStore) -> frozenset[str]:
    """Digests that the build cache wants kept: one per line in each file of ``cache/pins/``."""
    found: set[str] = set()
    for name in files.entries(f"{store.root}/cache/pins"):
        text = files.read_file(f"{store.root}/cache/pins/{name}") or b""
        found.update(line.strip() for line in text.decode("utf-8", "replace").splitlines() if digests.is_digest(line.strip()))
    return frozenset(found)


def needed(store: ImageStore) -> frozenset[str]:
    """Diff ids that an image, a container or the build cache needs."""
    found = set(pins(store))
    for image_id in store.catalog.ids():
        found.update(_diff_ids(store.catalog.raw_config(image_id)))
    paths = store.paths
    for project in files.entries(paths.projects):
        for container in files.entries(f"{paths.projects}/{project}/containers"):
            found.update(_container_layers(f"{paths.container(project, container)}/image.json"))
    return frozenset(found)


def _diff_ids(raw: bytes | None) -> tuple[str, ...]:
    try:
        return configs.parse(raw).diff_ids if raw else ()
    except ImageError:
        return ()


def _container_layers(path: str) -> tuple[str, ...]:
    from runtime import codec
    from runtime.spec import ImageConfig

    text = files.read_file(path)
    try:
        return codec.loads(ImageConfig, text).diff_ids if text else ()
    except (ValueError, TypeError, KeyError):
        return ()


def collect(store: ImageStore, *, stale: float = partial.STALE) -> int:
    """Remove layers nobody needs, and what killed processes left; returns bytes freed as the disk counts them.

    Downloads that were cut off are kept for ``stale`` seconds: the next pull goes on with them.
    """
    if not os.path.isdir(store.root):
        return 0
    freed = partial.sweep(store.root, stale=stale)
    with files.locked(store.catalog.lock):
        leases.sweep(store.root)
        since = leases.oldest(store.root)
        kept = needed(store)
        for diff_id in store.content.all():
            home = store.content.home(diff_id)
            if diff_id in kept or (since is not None and _changed(f"{home}/layer.json") >= since):
                continue
            freed += disk_bytes(home)
            store.content.remove(diff_id)
    return freed


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


def prune(store: ImageStore, *, all_unused: bool, until: int | None, labels: Sequence[str]) -> Pruned:
    """See ``ImageStore.prune``."""
    untagged: list[str] = []
    deleted: list[str] = []
    kept = pins(store)
    for image in store.list():
        if image.id in kept or not _wanted(image, all_unused=all_unused, until=until, labels=labels):
            continue
        with files.locked(store.catalog.lock):
            if store.used_by().get(image.id):
                continue
            mine = [n for n, i in store.catalog.references().items() if i == image.id]
            if not all_unused and any("@" not in n for n in mine):
                continue  # tagged meanwhile
            store.catalog.write_references(dict.fromkeys(mine))
            store.catalog.forget(image.id)
        untagged += [parse(n).familiar for n in mine]
        deleted.append(image.id)
    return Pruned(untagged=tuple(untagged), deleted=tuple(deleted), reclaimed=collect(store, stale=0))


def _wanted(image: ImageState, *, all_unused: bool, until: int | None, labels: Sequence[str]) -> bool:
    if not all_unused and any("@" not in name for name in image.references):
        return False
    if until is not None and (image.created_at or image.pulled_at) >= until:
        return False
    return all(_label_matches(image, label) for label in labels)


def _label_matches(image: ImageState, wanted: str) -> bool:
    negated = wanted.startswith("!")
    key, equals, value = wanted.removeprefix("!").partition("=")
    held = image.config.labels.get(key)
    matches = held is not None and (not equals or held == value)
    return matches != negated


def disk_usage(store: ImageStore) -> DiskUsage:
    """See ``ImageStore.df``."""
    sharing: dict[str, list[str]] = {}
    images = store.list()
    for image in images:
        for diff_id in dict.fromkeys(image.config.diff_ids):
            sharing.setdefault(diff_id, []).append(image.id)
    pinned = pins(store)
    layers = tuple(
        LayerUsage(diff_id=d, size=disk_bytes(store.content.home(d)), images=tuple(sharing.get(d, ())), pinned=d in pinned)
        for d in store.content.all()
    )
    total, cache = disk_bytes(store.root), disk_bytes(f"{store.root}/cache")
    used = store.used_by()
    kept = pinned | {d for image in images if image.id in used for d in image.config.diff_ids}
    return DiskUsage(
        total=total, layers=layers, cache=cache, other=total - cache - sum(layer.size for layer in layers), images=len(images),
        active=sum(1 for image in images if image.id in used), reclaimable=sum(layer.size for layer in layers if layer.diff_id not in kept),
    )  # fmt: skip


def disk_bytes(path: str) -> int:
    """Bytes that a tree takes on disk, hard links counted once, as `du` counts."""
    seen: set[tuple[int, int]] = set()
    return sum(_blocks(found, seen) for found in _walk(path))


def _walk(path: str) -> Iterator[os.stat_result]:
    try:
        yield os.lstat(path)
        pending = [path] if os.path.isdir(path) and not os.path.islink(path) else []
    except FileNotFoundError:
        return
    while pending:
        try:
            with os.scandir(pending.pop()) as found:
                for entry in found:
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except FileNotFoundError:
            continue


def _blocks(found: os.stat_result, seen: set[tuple[int, int]]) -> int:
    if found.st_nlink > 1:
        key = (found.st_dev, found.st_ino)
        if key in seen:
            return 0
        seen.add(key)
    return found.st_blocks * 512


def verify(store: ImageStore) -> tuple[Damage, ...]:
    """See ``ImageStore.verify``."""
    return (*_damaged_images(store), *_damaged_layers(store), *_damaged_names(store))


def _damaged_images(store: ImageStore) -> Iterator[Damage]:
    present = set(store.content.all())
    for image_id in store.catalog.ids():
        raw = store.catalog.raw_config(image_id) or b""
        if digests.of(raw) != image_id:
            yield Damage(kind="image", name=image_id, problem="the configuration does not match its digest")
            continue
        for diff_id in _diff_ids(raw):
            if diff_id not in present:
                yield Damage(kind="image", name=image_id, problem=f"the layer {diff_id} is missing")
        for manifest in store.catalog.info(image_id).manifests:
            text = store.catalog.manifest(manifest)
            if text is None or digests.of(text) != manifest:
                yield Damage(kind="manifest", name=manifest, problem="missing" if text is None else "does not match its digest")


def _damaged_layers(store: ImageStore) -> Iterator[Damage]:
    for diff_id in store.content.all():
        problem = _layer_problem(store, diff_id)
        if problem:
            yield Damage(kind="layer", name=diff_id, problem=problem)


def _layer_problem(store: ImageStore, diff_id: str) -> str:
    layer = store.content.get(diff_id)
    if layer is None:
        return "half-written by a power cut"
    try:
        for _ in store.content.tar(diff_id):
            pass
    except ImageError as error:
        return error.message
    from runtime.images.fidelity import difference

    return difference(store.content.home(diff_id), layer)


def _damaged_names(store: ImageStore) -> Iterator[Damage]:
    known = set(store.catalog.ids())
    for name, image_id in store.catalog.references().items():
        if image_id not in known:
            yield Damage(kind="reference", name=parse(name).familiar, problem=f"names the image {image_id}, which is not there")
