"""Pull: manifest, then layers in parallel, each verified and unpacked while it downloads; the image appears whole or not at all.

Blocking; worker threads inside. The engine runs it by ``anyio.to_thread`` and sets ``cancel`` when nobody waits any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runtime.errors import ImageError, NotFound, RegistryError
from runtime.images import config as configs
from runtime.images import platforms, workers
from runtime.images.events import Progress, Reporter, TransferEvent
from runtime.images.layer import Source
from runtime.images.partial import Partial
from runtime.images.reference import Reference, parse
from runtime.images.registry import blobs, manifests, settings
from runtime.images.registry.manifests import Descriptor, Manifest
from runtime.images.registry.session import Session, endpoints
from runtime.images.registry.transport import Transport
from runtime.record import dataclass
from runtime.state import ImageState

if TYPE_CHECKING:
    from runtime.images.store import ImageStore

PullEvent = TransferEvent


def pull(
    store: ImageStore, reference: str, *, platform: str | None = None, progress: Progress | None = None, cancel: threading.Event | None = None
) -> ImageState:  # fmt: skip
    """Bring the image into the store under ``reference`` and return it. ``platform`` is "os/arch[/variant]", the host's by default.

    Raises RegistryError (refused, unreachable), ImageError (malformed, hostile), ``events.Cancelled``.
    """
    name = parse(reference)
    report = Reporter(name.familiar, progress, cancel or threading.Event())
    report.image(f"Pulling from {name.repository}")
    transport = Transport(settings.load())
    try:
        return _Pull(store, name, platforms.parse(platform), report, transport).run(explicit=bool(platform))
    finally:
        transport.close()


@dataclass(slots=True)
class _Pull:
    store: ImageStore
    name: Reference
    platform: platforms.Platform
    report: Reporter
    transport: Transport

    def run(self, *, explicit: bool) -> ImageState:
        """Try the mirrors, then the registry itself; layers that a failing mirror did deliver are kept."""
        failures: list[RegistryError] = []
        with self.store.lease():
            for endpoint in endpoints(self.name.registry, self.transport):
                session = Session(self.transport, endpoint, self.name.repository, "pull", wait=self._wait)
                try:
                    return self._from(session, explicit=explicit)
                except RegistryError as error:
                    failures.append(error)
                    self.report.cancel.clear()
        raise failures[-1]

    def _from(self, session: Session, *, explicit: bool) -> ImageState:
        if not explicit and self._is_current(session):
            return self._up_to_date()
        return self._fetch(session, manifests.fetch(session, self.name.target, self.platform, self.store.limits))

    def _wait(self, seconds: float) -> None:
        self.report.cancel.wait(seconds)
        self.report.check()

    def _is_current(self, session: Session) -> bool:
        held = self.store.find(self.name.canonical)
        if held is None or (held.config.os, held.config.architecture) != (self.platform.os, self.platform.architecture):
            return False
        digest = self.name.digest or manifests.head(session, self.name.target)
        known = self.store.find(f"{self.name.name}@{digest}") if digest else None
        return known is not None and known.id == held.id

    def _up_to_date(self) -> ImageState:
        held = self.store.get(self.name.canonical)
        self.store.catalog.note_pull(held.id, time.time_ns())
        self.report.image(f"Digest: {held.digest}")
        self.report.image(f"Status: Image is up to date for {self.name.familiar}")
        return self.store.get(self.name.canonical)

    def _fetch(self, session: Session, manifest: Manifest) -> ImageState:
        raw = b"".join(blobs.download(session, manifest.config.digest, _checked_size(manifest.config), lambda _: None))
        parsed = configs.parse(raw)
        if len(parsed.diff_ids) != len(manifest.layers):
            raise ImageError(
                f"the image has {len(manifest.layers)} layers and {len(parsed.diff_ids)} diff ids",
                hint="the registry serves something malformed; refused",
            )
        if parsed.os != "linux":
            raise ImageError(f"{self.name.familiar} is an image for {parsed.os}", hint="only Linux images run here")
        pairs = list(dict.fromkeys(zip(manifest.layers, parsed.diff_ids, strict=True)))
        for layer, _ in pairs:
            self.report.layer(layer.digest, "Waiting", 0, layer.size)
        workers.run([lambda p=pair: self._layer(session, *p) for pair in pairs], self.transport.settings.parallel, self.report.cancel)  # type: ignore[misc]
        return self._publish(raw, parsed.diff_ids, manifest)

    def _layer(self, session: Session, layer: Descriptor, diff_id: str) -> None:
        if self.store.content.reuse(diff_id) is not None:
            self.report.layer(layer.digest, "Already exists")
        else:
            self._unpacked(session, layer, diff_id)
            self.report.layer(layer.digest, "Pull complete", layer.size, layer.size)
        origin = Source(media_type=layer.media_type, size=layer.size, repositories=(f"{self.name.registry}/{self.name.repository}",))
        self.store.content.remember(diff_id, layer.digest, origin)

    def _unpacked(self, session: Session, layer: Descriptor, diff_id: str) -> None:
        """Download and unpack, going on where a killed pull stopped; when what that one left turns out to be damaged, from the start."""
        with Partial(self.store.root, layer.digest, layer.size) as partial:
            try:
                self.store.content.add_tar(self._downloading(session, layer, partial), diff_id)
            except ImageError:
                partial.discard()
                if not partial.resumed:
                    raise
                self.store.content.add_tar(self._downloading(session, layer, partial), diff_id)

    def _downloading(self, session: Session, layer: Descriptor, partial: Partial) -> Iterator[bytes]:
        def moved(offset: int) -> None:
            self.report.bytes(layer.digest, "Downloading", offset, layer.size)

        yield from blobs.download(session, layer.digest, layer.size, moved, partial)
        self.report.layer(layer.digest, "Extracting", layer.size, layer.size)

    def _publish(self, raw: bytes, diff_ids: Sequence[str], manifest: Manifest) -> ImageState:
        self.report.check()
        before = self.store.find(self.name.canonical)
        names = [f"{self.name.name}@{manifest.digest}", *([f"{self.name.name}:{self.name.tag}"] if self.name.tag else [])]
        state = self.store.add_image(raw, diff_ids, names, manifests=list(dict.fromkeys((manifest.raw, manifest.top))))
        newer = before is None or before.id != state.id
        self.report.image(f"Digest: {manifest.digest}")
        self.report.image(f"Status: {'Downloaded newer image' if newer else 'Image is up to date'} for {self.name.familiar}")
        return state


def _checked_size(config: Descriptor) -> int:
    if config.size > configs.MAX_CONFIG:
        raise ImageError(
            f"the image configuration has {config.size} bytes; more than {configs.MAX_CONFIG} is refused",
            hint="no real image has such a one",
        )
    return config.size


def remote_digest(reference: str) -> str:
    """The digest that the registry has for a reference now, without pulling. Raises RegistryError."""
    name = parse(reference)
    transport = Transport(settings.load())
    try:
        session = Session(transport, endpoints(name.registry, transport, mirrors=False)[-1], name.repository, "pull")
        found = manifests.head(session, name.target)
        if not found:
            raise NotFound(f"{name.registry} does not tell the digest of {name.familiar}")
        return found
    finally:
        transport.close()
