"""What the store knows by name: references, and images with their configurations and manifests. Small files, each replaced whole.

``references.json`` maps canonical references ("docker.io/library/busybox:latest", or "name@sha256:…" for what was pulled by digest) to
image ids; ``configs/<id>`` are raw configurations, ``info/<id>.json`` what is known besides, ``manifests/<digest>`` raw manifests.
Writers hold ``lock``; readers need nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace

from runtime import codec, store
from runtime.errors import Conflict, ImageError
from runtime.images import config as configs
from runtime.images import digest as digests
from runtime.images.reference import Reference, parse
from runtime.record import dataclass
from runtime.spec import ImageConfig

_ID_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What is known of an image beside its configuration: bytes in its layers, when it came, which manifests it came with."""

    size: int = 0
    pulled_at: int = 0
    manifests: tuple[str, ...] = ()


class Catalog:
    """The names and images below one images directory."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.lock = f"{root}/lock"

    def references(self) -> Mapping[str, str]:
        """Canonical reference → image id."""
        text = store.read_file(f"{self.root}/references.json")
        if text is None:
            return {}
        found: dict[str, str] = json.loads(text)
        return found

    def ids(self) -> tuple[str, ...]:
        """Every image id there is."""
        return tuple(f"sha256:{name}" for name in store.entries(f"{self.root}/configs") if len(name) == 64)

    def raw_config(self, image_id: str) -> bytes | None:
        """The configuration as it came."""
        return store.read_file(f"{self.root}/configs/{digests.hex_of(image_id, 'image id')}")

    def config(self, image_id: str) -> ImageConfig | None:
        """The configuration, decoded."""
        raw = self.raw_config(image_id)
        return None if raw is None else configs.parse(raw)

    def info(self, image_id: str) -> ImageInfo:
        """What is known besides."""
        text = store.read_file(f"{self.root}/info/{digests.hex_of(image_id, 'image id')}.json")
        return ImageInfo() if text is None else codec.loads(ImageInfo, text)

    def manifest(self, digest: str) -> bytes | None:
        """A manifest as it came from a registry."""
        return store.read_file(f"{self.root}/manifests/{digests.hex_of(digest, 'manifest digest')}")

    def resolve(self, text: str) -> str | None:
        """The image id for a reference, digest, id or unique start of an id. Raises Conflict for an ambiguous one, ImageError for nonsense."""
        prefix = _ID_PREFIX.fullmatch(text)
        try:
            found = self._by_reference(parse(text))
        except ImageError:
            if prefix is None:
                raise
            found = None
        return found or (self._by_prefix(prefix.group(1)) if prefix else None)

    def _by_reference(self, reference: Reference) -> str | None:
        known = self.references()
        if reference.digest:
            exact = known.get(f"{reference.name}@{reference.digest}")
            return exact or (reference.digest if self._is_named(reference, known) else None)
        return known.get(reference.canonical)

    @staticmethod
    def _is_named(reference: Reference, known: Mapping[str, str]) -> bool:
        """Whether the digest is an image id that carries the name: ``save`` and Compose files written by hand say it so."""
        return any(image == reference.digest and parse(name).name == reference.name for name, image in known.items())

    def _by_prefix(self, prefix: str) -> str | None:
        if len(prefix) == 64:
            return f"sha256:{prefix}" if os.path.exists(f"{self.root}/configs/{prefix}") else None
        found = [i for i in self.ids() if i[7:].startswith(prefix)]
        if len(found) > 1:
            raise Conflict(f"{prefix!r} is the start of {len(found)} image ids", hint="give more digits")
        return found[0] if found else None

    def write_image(self, raw: bytes, info: ImageInfo) -> str:
        """Store a configuration and what is known of it; returns the id. The caller holds the lock."""
        image_id = digests.of(raw)
        name = image_id[7:]
        for folder in ("configs", "info"):
            os.makedirs(f"{self.root}/{folder}", mode=0o711, exist_ok=True)
        known = self.info(image_id)
        merged = ImageInfo(
            size=info.size or known.size,
            pulled_at=info.pulled_at or known.pulled_at,
            manifests=tuple(dict.fromkeys((*known.manifests, *info.manifests))),
        )
        store.write_atomic(f"{self.root}/info/{name}.json", codec.dumps(merged), durable=True)
        if not os.path.exists(f"{self.root}/configs/{name}"):
            store.write_atomic(f"{self.root}/configs/{name}", raw, durable=True)
        return image_id

    def note_pull(self, image_id: str, at: int) -> None:
        """Remember that the registry was asked for the image at ``at`` (ns since the epoch) and had no other. Takes the lock."""
        with store.locked(self.lock):
            if os.path.exists(path := f"{self.root}/info/{image_id[7:]}.json"):
                store.write_atomic(path, codec.dumps(replace(self.info(image_id), pulled_at=at)), durable=True)

    def write_manifest(self, raw: bytes) -> str:
        """Store a manifest; returns its digest. The caller holds the lock."""
        digest = digests.of(raw)
        os.makedirs(f"{self.root}/manifests", mode=0o711, exist_ok=True)
        store.write_atomic(f"{self.root}/manifests/{digest[7:]}", raw, durable=True)
        return digest

    def write_references(self, changes: Mapping[str, str | None]) -> None:
        """Set (id) or remove (None) canonical references. The caller holds the lock."""
        before = self.references()
        known = {k: v for k, v in {**before, **changes}.items() if v is not None}
        if known == before:
            return
        store.write_atomic(f"{self.root}/references.json", json.dumps(known, indent=1, sort_keys=True), durable=True)

    def forget(self, image_id: str) -> None:
        """Remove an image's configuration and manifests; layers are garbage collection's. The caller holds the lock."""
        name = digests.hex_of(image_id, "image id")
        kept = {m for other in self.ids() if other != image_id for m in self.info(other).manifests}
        for manifest in self.info(image_id).manifests:
            if manifest not in kept:
                store.remove_file(f"{self.root}/manifests/{digests.hex_of(manifest)}")
        store.remove_file(f"{self.root}/configs/{name}")
        store.remove_file(f"{self.root}/info/{name}.json")
