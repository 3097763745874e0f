"""Push: layers that the registry lacks, mounted from its other repositories where it has them, then configuration and manifest.

A layer whose compressed form is known keeps its digest, so an image that was pulled arrives as the same manifest. Blocking; see ``pull``.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import field
from typing import TYPE_CHECKING

from runtime import store as files
from runtime.errors import ImageError
from runtime.images import config as configs
from runtime.images import workers
from runtime.images.bytestream import Hashing
from runtime.images.catalog import ImageInfo
from runtime.images.compression import gzipped
from runtime.images.events import Progress, Reporter
from runtime.images.layer import Layer, Source
from runtime.images.reference import Reference, parse
from runtime.images.registry import blobs, manifests, settings
from runtime.images.registry.manifests import Descriptor
from runtime.images.registry.session import Session, endpoints
from runtime.images.registry.transport import Transport
from runtime.record import dataclass

if TYPE_CHECKING:
    from runtime.images.store import ImageStore


def push(store: ImageStore, reference: str, *, progress: Progress | None = None, cancel: threading.Event | None = None) -> str:
    """Send the image to the registry that its name says; returns the manifest's digest.

    Raises NotFound, RegistryError (refused, unreachable), ``events.Cancelled``.
    """
    name = parse(reference)
    if not name.tag:
        raise ImageError(f"cannot push {reference!r}: a digest is what comes out of a push", hint="give a tag, or nothing for latest")
    report = Reporter(name.familiar, progress, cancel or threading.Event())
    report.image(f"The push refers to repository [{name.name}]")
    transport = Transport(settings.load())
    try:
        endpoint = endpoints(name.registry, transport, mirrors=False)[-1]
        job = _Push(
            store, name, report, transport, Session(transport, endpoint, name.repository, "pull,push", wait=lambda s: _wait(report, s))
        )
        return job.run()
    finally:
        transport.close()


_under_way: dict[tuple[str, str], threading.Lock] = {}


def _one_at_a_time(registry: str, digest: str) -> threading.Lock:
    """Images that are pushed side by side share content: the first sends it, the others mount it or find it there.

    Registries stumble over two uploads of one blob to one repository, too (distribution answers one of them with 400).
    """
    return _under_way.setdefault((registry, digest), threading.Lock())


def _wait(report: Reporter, seconds: float) -> None:
    report.cancel.wait(seconds)
    report.check()


@dataclass(slots=True)
class _Push:
    store: ImageStore
    name: Reference
    report: Reporter
    transport: Transport
    session: Session
    sent: dict[str, Descriptor] = field(default_factory=dict)

    def run(self) -> str:
        image = self.store.get(self.name.canonical)
        diff_ids = image.config.diff_ids
        for diff_id in dict.fromkeys(diff_ids):
            self.report.layer(diff_id, "Waiting")
        jobs = [lambda d=diff_id: self._layer(d) for diff_id in dict.fromkeys(diff_ids)]
        workers.run(jobs, self.transport.settings.parallel, self.report.cancel)
        self.report.check()
        raw = self.store.raw_config(image.id)
        with _one_at_a_time(self.name.registry, image.id):
            blobs.upload_bytes(self.session, image.id, raw)
            manifest, media_type = self._manifest(image.id, raw, [self.sent[d] for d in diff_ids])
            digest = manifests.put(self.session, self.name.tag, manifest, media_type)
            self._remember(manifest, digest, image.id)
        self.report.image(f"{self.name.tag}: digest: {digest} size: {len(manifest)}")
        return digest

    def _remember(self, manifest: bytes, digest: str, image_id: str) -> None:
        with files.locked(self.store.catalog.lock):
            self.store.catalog.write_manifest(manifest)
            info = self.store.catalog.info(image_id)
            self.store.catalog.write_image(
                self.store.raw_config(image_id), ImageInfo(size=info.size, pulled_at=info.pulled_at, manifests=(digest,))
            )
            self.store.catalog.write_references({f"{self.name.name}@{digest}": image_id})

    def _layer(self, diff_id: str) -> None:
        with _one_at_a_time(self.name.registry, diff_id):
            layer = self.store.content.require(diff_id)
            found = self._held(layer) or self._mounted(layer) or self._uploaded(layer)
            self.sent[diff_id] = found
            self._note(diff_id, found)

    def _note(self, diff_id: str, found: Descriptor) -> None:
        origin = Source(media_type=found.media_type, size=found.size, repositories=(self.name.name,))
        self.store.content.remember(diff_id, found.digest, origin)

    def _held(self, layer: Layer) -> Descriptor | None:
        for digest, source in layer.sources.items():
            if blobs.exists(self.session, digest):
                self.report.layer(layer.diff_id, "Layer already exists")
                return _described(digest, source)
        return None

    def _mounted(self, layer: Layer) -> Descriptor | None:
        for digest, source in layer.sources.items():
            for repository in source.repositories:
                registry, _, other = repository.partition("/")
                if registry == self.name.registry and other != self.name.repository and blobs.mount(self.session, digest, other):
                    self.report.layer(layer.diff_id, f"Mounted from {other}")
                    return _described(digest, source)
        return None

    def _uploaded(self, layer: Layer) -> Descriptor:
        self.report.layer(layer.diff_id, "Preparing", 0, layer.tar_size)
        with self.store.content.staging() as home:
            path = f"{home}/blob"
            digest, size = self._compress(layer, path)
            if blobs.exists(self.session, digest):
                self.report.layer(layer.diff_id, "Layer already exists")
            else:
                blobs.upload(self.session, digest, path, lambda offset: self.report.bytes(layer.diff_id, "Pushing", offset, size))
                self.report.layer(layer.diff_id, "Pushed", size, size)
            os.unlink(path)
        return Descriptor(digest=digest, size=size, media_type=manifests.DOCKER_LAYER)

    def _compress(self, layer: Layer, path: str) -> tuple[str, int]:
        hashing = Hashing(gzipped(self.store.content.tar(layer.diff_id)))
        with open(path, "xb", buffering=0) as file:
            for chunk in hashing:
                file.write(chunk)
                self.report.bytes(layer.diff_id, "Preparing", hashing.length, layer.tar_size)
        return hashing.digest, hashing.length

    def _manifest(self, image_id: str, raw: bytes, layers: list[Descriptor]) -> tuple[bytes, str]:
        for known in self.store.catalog.info(image_id).manifests:
            text = self.store.catalog.manifest(known)
            document = configs.document(text, "a manifest") if text else {}
            if _digests(document.get("layers")) == [layer.digest for layer in layers] and text:
                return text, str(document.get("mediaType") or manifests.OCI_MANIFEST)
        oci = any(layer.media_type != manifests.DOCKER_LAYER for layer in layers)
        return _new_manifest(image_id, len(raw), layers, oci=oci)


def _new_manifest(image_id: str, size: int, layers: list[Descriptor], *, oci: bool) -> tuple[bytes, str]:
    kind, config = (manifests.OCI_MANIFEST, manifests.OCI_CONFIG) if oci else (manifests.DOCKER_MANIFEST, manifests.DOCKER_CONFIG)
    listed = [{"mediaType": _oci_kind(layer) if oci else layer.media_type, "size": layer.size, "digest": layer.digest} for layer in layers]
    document = {"schemaVersion": 2, "mediaType": kind, "config": {"mediaType": config, "size": size, "digest": image_id}, "layers": listed}
    return json.dumps(document, indent=3).encode(), kind


def _oci_kind(layer: Descriptor) -> str:
    return f"{manifests.OCI_LAYER}+gzip" if layer.media_type == manifests.DOCKER_LAYER else layer.media_type


def _digests(layers: object) -> list[str]:
    return [str(layer.get("digest")) for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _described(digest: str, source: Source) -> Descriptor:
    return Descriptor(digest=digest, size=source.size, media_type=source.media_type)
