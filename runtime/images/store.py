"""``ImageStore``: the images of this host, on disk, without a daemon. In the command line's process and the builder's; safe for several.

Layout below ``<root>/images``: ``references.json configs/ info/ manifests/`` (``catalog``), ``layers/`` (``layers``), ``tmp/`` (staging,
leases), ``ingest/`` (downloads cut off), ``cache/pins/`` (one digest per line in each file: diff ids and image ids that the build cache wants kept), ``lock``.
Importing and reading it is stdlib-only and cheap.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, BinaryIO

from runtime import store as files
from runtime.errors import ImageError, InUse, NotFound
from runtime.images import config as configs
from runtime.images import digest as digests
from runtime.images.catalog import Catalog, ImageInfo
from runtime.images.layer import Layer
from runtime.images.layers import LayerStore
from runtime.images.limits import Limits
from runtime.images.reference import parse
from runtime.record import dataclass
from runtime.spec import ImageConfig
from runtime.state import ImageState
from runtime.store import Paths

if TYPE_CHECKING:
    from runtime.images.maintenance import Damage, DiskUsage, Pruned


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What ``remove`` did: references (familiar form), image ids and bytes."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    reclaimed: int = 0


class ImageStore:
    """The store below ``paths.images``. References are given as users write them; ids are "sha256:…" of the configuration.

    ``limits`` are those of registries.toml by default.
    """

    def __init__(self, paths: Paths, limits: Limits | None = None) -> None:
        self.paths = paths
        self.root = paths.images
        self.catalog = Catalog(self.root)
        self.content = LayerStore(self.root, limits)
        self._lease = ExitStack()
        self._leased = False

    @property
    def limits(self) -> Limits:
        """What layers may ask of this host."""
        return self.content.limits

    # --- reading

    def find(self, reference: str) -> ImageState | None:
        """The image for a reference, digest, id or start of an id; None when it is not (wholly) there. Raises ImageError for nonsense."""
        image_id = self.catalog.resolve(reference)
        return None if image_id is None else self._state(image_id, self._by_image())

    def get(self, reference: str) -> ImageState:
        """``find`` that raises NotFound."""
        found = self.find(reference)
        if found is None:
            raise NotFound(
                f"no such image: {reference}",
                hint="`image ls` lists what is there; `image pull`, `load`, `import` or `bootstrap` brings one",
            )
        return found

    def list(self) -> tuple[ImageState, ...]:
        """All images, newest first."""
        names = self._by_image()
        states = (self._state(i, names) for i in self.catalog.ids())
        return tuple(sorted((s for s in states if s is not None), key=lambda s: (-s.created_at, s.id)))

    def layers(self, image_id: str) -> tuple[str, ...]:
        """The unpacked layer directories, lowest first, ready as overlay lower directories. A layer that comes twice counts where it is highest."""
        found = self.require_config(image_id).diff_ids
        topmost = dict.fromkeys(reversed(found))
        for diff_id in topmost:
            self.content.require(diff_id)
        return tuple(self.content.directory(d) for d in reversed(topmost))

    def config(self, image_id: str) -> ImageConfig:
        """The configuration that containers inherit. Raises NotFound."""
        return self.require_config(image_id)

    def raw_config(self, image_id: str) -> bytes:
        """The configuration's bytes as they came. Raises NotFound."""
        raw = self.catalog.raw_config(image_id)
        if raw is None:
            raise NotFound(f"no such image: {image_id}")
        return raw

    def require_config(self, image_id: str) -> ImageConfig:
        """``config``."""
        return configs.parse(self.raw_config(image_id))

    def has_layer(self, diff_id: str) -> bool:
        """Whether the layer is there and trusted."""
        return self.content.get(diff_id) is not None

    def layer_directory(self, diff_id: str) -> str:
        """The unpacked content of one layer."""
        return self.content.directory(diff_id)

    def layer_tar(self, diff_id: str) -> Iterator[bytes]:
        """The layer's uncompressed tar in chunks; raises ImageError at the end if it is not what it should be."""
        return self.content.tar(diff_id)

    # --- adding

    def lease(self) -> AbstractContextManager[None]:
        """Hold it from the first ``add_layer`` to ``add_image``: what nobody names yet survives a prune that runs meanwhile."""
        from runtime.images import leases

        return leases.lease(self.root)

    def add_layer(self, source: BinaryIO | Iterable[bytes] | str, *, expected: str = "", move: bool = False) -> Layer:
        """Add a layer: a tar stream (plain, gzip, zstd), its chunks, or a directory in overlay form.

        ``expected`` is the diff id it must have. ``move`` takes the directory itself (same file system; it is gone afterwards). Without
        a ``lease`` of the caller's, one is held until ``add_image``. Raises ImageError for hostile, damaged or oversized layers.
        """
        from runtime.images.bytestream import read_chunks

        self._implicit_lease()
        if isinstance(source, str):
            return self.content.add_directory(source, move=move)
        return self.content.add_tar(read_chunks(source), expected)

    def add_image(
        self, config: bytes, layers: Sequence[Layer | str] | None = None, references: Sequence[str] = (), *, manifests: Sequence[bytes] = ()
    ) -> ImageState:  # fmt: skip
        """Publish an image whose layers are in the store and move ``references`` ("name:tag", "name@digest") to it, durably.

        ``layers`` (or their diff ids) are compared with the configuration's ``rootfs.diff_ids``; ``manifests`` are a registry's, as they
        came. Raises ImageError when a layer is missing or a reference malformed.
        """
        parsed = configs.parse(config)
        given = None if layers is None else tuple(item if isinstance(item, str) else item.diff_id for item in layers)
        if given is not None and given != parsed.diff_ids:
            raise ImageError(
                "the image's layers are not those that its configuration names", hint="rootfs.diff_ids must list them, lowest first"
            )
        names = [parse(reference).canonical for reference in references]
        held = {d: self.content.reuse(d) for d in parsed.diff_ids}
        missing = [d for d, layer in held.items() if layer is None]
        if missing:
            raise ImageError(f"the layer {missing[0]} of the image is not in the store", hint="add the layers first")
        self.content.make_durable(parsed.diff_ids)
        size = sum(layer.size for d in parsed.diff_ids if (layer := held[d]) is not None)
        with files.locked(self.catalog.lock):
            known = tuple(self.catalog.write_manifest(manifest) for manifest in manifests)
            image_id = self.catalog.write_image(config, ImageInfo(size=size, pulled_at=time.time_ns(), manifests=known))
            self.catalog.write_references(dict.fromkeys(names, image_id))
        self._lease.close()
        self._leased = False
        return self.get(image_id)

    def _implicit_lease(self) -> None:
        from runtime.images import leases

        if not self._leased:
            self._lease.enter_context(leases.lease(self.root))
            self._leased = True

    # --- names

    def tag(self, reference: str, new: str) -> None:
        """Give the image a further name; a name that another image had moves. Raises NotFound, ImageError."""
        image = self.get(reference)
        name = parse(new)
        if name.digest:
            raise ImageError(f"cannot tag as {new!r}: a digest cannot be chosen", hint="leave out what follows '@'")
        with files.locked(self.catalog.lock):
            self.catalog.write_references({name.canonical: image.id})

    def untag(self, reference: str) -> None:
        """Take the name away and keep the image; no such name is success."""
        name = parse(reference)
        with files.locked(self.catalog.lock):
            self.catalog.write_references({name.canonical: None})

    def remove(self, reference: str, *, force: bool = False) -> Removed:
        """Untag, and delete the image with its last name (Docker's `rmi`). Raises NotFound; InUse while containers or other names need it."""
        from runtime.images import removal

        return removal.remove(self, reference, force=force)

    def used_by(self) -> Mapping[str, tuple[str, ...]]:
        """Image id → names of the containers made of it, running or not."""
        from runtime.images import removal

        return removal.used_by(self.paths)

    # --- keeping house

    def gc(self) -> int:
        """Remove layers that no image, container, build cache or running pull needs; returns the bytes freed."""
        from runtime.images import maintenance

        return maintenance.collect(self)

    def prune(self, *, all_unused: bool = False, until: int | None = None, labels: Sequence[str] = ()) -> Pruned:
        """Remove dangling images, or all that no container uses; ``until`` (ns) and ``labels`` ("key", "key=value", "!key") narrow it."""
        from runtime.images import maintenance

        return maintenance.prune(self, all_unused=all_unused, until=until, labels=labels)

    def df(self) -> DiskUsage:
        """What the store takes on disk, as the disk itself counts."""
        from runtime.images import maintenance

        return maintenance.disk_usage(self)

    def verify(self) -> tuple[Damage, ...]:
        """Read everything and compare it with its digests; what is damaged, nothing when all is well."""
        from runtime.images import maintenance

        return maintenance.verify(self)

    # --- in and out

    def import_root(
        self, tar: BinaryIO | Iterable[bytes], reference: str = "", changes: Sequence[str] = (), message: str = ""
    ) -> ImageState:
        """An image of one layer out of a root file system's tar; ``changes`` are Dockerfile instructions (`docker import -c`)."""
        from runtime.images import importing

        return importing.import_root(self, tar, reference, changes, message)

    def load(self, tar: BinaryIO) -> tuple[str, ...]:
        """Load a `docker save` archive or an OCI layout in a tar (either may be compressed); returns references or ids."""
        from runtime.images import load

        return load.load(self, tar)

    def save(self, references: Sequence[str], file: BinaryIO, *, format: str = "docker") -> None:  # noqa: A002  # the option's name
        """Write an archive that `docker load`, skopeo and ``load`` read: ``docker`` (both in one, as Docker writes it) or ``oci``."""
        from runtime.images import save

        save.save(self, references, file, format)

    # --- inside

    def _by_image(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for name, image_id in sorted(self.catalog.references().items()):
            found.setdefault(image_id, []).append(name)
        return {k: tuple(v) for k, v in found.items()}

    def _state(self, image_id: str, names: Mapping[str, tuple[str, ...]]) -> ImageState | None:
        raw = self.catalog.raw_config(image_id)
        if raw is None:
            return None
        config = configs.parse(raw)
        if any(not os.path.isdir(self.content.directory(d)) for d in config.diff_ids):
            return None
        info = self.catalog.info(image_id)
        mine = names.get(image_id, ())
        pulled = next((n.partition("@")[2] for n in mine if "@" in n), info.manifests[0] if info.manifests else "")
        return ImageState(
            id=image_id, config=config, size=info.size, created_at=configs.created_ns(config.created), pulled_at=info.pulled_at,
            digest=pulled, references=tuple(parse(n).familiar for n in mine),
        )  # fmt: skip


def image_store(paths: Paths | None = None) -> ImageStore:
    """The store in force."""
    return ImageStore(paths or files.paths())


__all__ = ["ImageStore", "InUse", "Layer", "Removed", "digests", "image_store"]
