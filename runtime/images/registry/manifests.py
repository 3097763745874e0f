"""Manifests and indexes of both families (image-spec v1.1, Docker's v2.2): fetched, verified, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.errors import ImageError, RegistryError
from runtime.images import config as configs
from runtime.images import digest as digests
from runtime.images import platforms
from runtime.images.limits import Limits
from runtime.images.registry.session import Session
from runtime.images.registry.transport import finish
from runtime.record import dataclass

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_INDEXES = (OCI_INDEX, DOCKER_INDEX)
_MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
_CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_LAYERS = (
    OCI_LAYER, f"{OCI_LAYER}+gzip", f"{OCI_LAYER}+zstd", DOCKER_LAYER, "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
)  # fmt: skip
_HINT = "the registry serves something that is no container image, or damaged; nothing of it was kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A blob as a manifest names it: ``size`` in bytes."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One platform's image: ``raw`` as it came, ``top`` the document that the reference named (an index, or ``raw`` itself)."""

    raw: bytes
    top: bytes
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def digest(self) -> str:
        """The digest that ``name@…`` refers to."""
        return digests.of(self.top)


def head(session: Session, target: str) -> str:
    """The digest a tag names at the moment; "" when the registry does not say."""
    response = session.request(
        "HEAD", session.url(f"manifests/{target}"), headers={"Accept": _ACCEPT}, what=f"{session.repository}:{target}"
    )
    finish(response)
    found = response.headers.get("Docker-Content-Digest", "")
    return found if digests.is_digest(found) else ""


def fetch(session: Session, target: str, platform: platforms.Platform, limits: Limits) -> Manifest:
    """The manifest for the platform, walking down through indexes. Raises ImageError for anything malformed, RegistryError for refusals."""
    raw, document = _get(session, target, "", limits)
    top = raw
    for _ in range(limits.index_depth):
        if "manifests" not in document:
            return _manifest(raw, top, document, limits)
        listed = document["manifests"]
        if not isinstance(listed, list):
            raise ImageError("an image index is malformed: 'manifests' is not a list", hint=_HINT)
        chosen = descriptor(platforms.choose(listed, listed, platform), (*_INDEXES, *_MANIFESTS), "a manifest")
        raw, document = _get(session, chosen.digest, chosen.media_type, limits)
        if len(raw) != chosen.size:
            raise ImageError(f"the manifest {chosen.digest} has {len(raw)} bytes instead of {chosen.size}", hint=_HINT)
    raise ImageError(f"image indexes are nested deeper than {limits.index_depth}", hint=_HINT)


def _get(session: Session, target: str, promised: str, limits: Limits) -> tuple[bytes, Mapping[str, object]]:
    separator = "@" if target.startswith("sha256:") else ":"
    what = f"{session.repository}{separator}{target}"
    raw, headers = session.document(
        "GET", session.url(f"manifests/{target}"), headers={"Accept": _ACCEPT}, limit=limits.manifest, what=what
    )
    _check_digest(raw, target, headers.get("Docker-Content-Digest", ""), what)
    document = configs.document(raw, f"the manifest {what}")
    _check_kind(document, headers.get("Content-Type", "").partition(";")[0].strip(), promised, what)
    return raw, document


def _check_digest(raw: bytes, target: str, told: str, what: str) -> None:
    if target.startswith("sha256:"):
        digests.check(raw, target, f"the manifest {what}")
    elif digests.is_digest(told):
        digests.check(raw, told, f"the manifest {what}")
    elif ":" in target:
        raise ImageError(f"{what}: only sha256 digests can be verified")


def _check_kind(document: Mapping[str, object], served: str, promised: str, what: str) -> None:
    own = document.get("mediaType") or served
    if document.get("schemaVersion") != 2 or str(own).startswith(_SCHEMA_1):
        raise ImageError(
            f"{what} is a manifest of schema version {document.get('schemaVersion')!r:.20}, which nobody writes any more",
            hint="push the image again with a current tool",
        )
    if "manifests" in document and ("layers" in document or "config" in document):
        raise ImageError(f"the manifest {what} is an index and an image at once", hint=_HINT)
    expected = _INDEXES if "manifests" in document else _MANIFESTS
    for claimed in (own, promised or own, served if served in (*_INDEXES, *_MANIFESTS) else own):
        if claimed and claimed not in expected:
            raise ImageError(f"the manifest {what} is of media type {claimed!r:.100}, which does not fit its content", hint=_HINT)


def _manifest(raw: bytes, top: bytes, document: Mapping[str, object], limits: Limits) -> Manifest:
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise ImageError("the manifest is malformed: 'layers' is not a list", hint=_HINT)
    if len(layers) > limits.layers:
        raise ImageError(
            f"the image has {len(layers)} layers; more than {limits.layers} are refused",
            hint="raise limits.layers in registries.toml if this is meant",
        )
    return Manifest(
        raw=raw, top=top, config=descriptor(document.get("config"), _CONFIGS, "the configuration"),
        layers=tuple(descriptor(layer, _LAYERS, "a layer") for layer in layers),
    )  # fmt: skip


def descriptor(found: object, kinds: Sequence[str], what: str) -> Descriptor:
    """A checked descriptor. Raises ImageError for a wrong digest, size or media type."""
    if not isinstance(found, dict):
        raise ImageError(f"the manifest is malformed: {what} has no descriptor", hint=_HINT)
    digests.hex_of(found.get("digest"), f"the digest of {what}")
    size, media_type = found.get("size"), found.get("mediaType")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImageError(f"the manifest is malformed: {what} has the size {size!r:.40}", hint=_HINT)
    if media_type not in kinds:
        raise ImageError(
            f"{what} is of media type {media_type!r:.100}, which is none of a container image's",
            hint="artifacts, charts and encrypted layers cannot be run",
        )
    return Descriptor(digest=str(found["digest"]), size=size, media_type=str(media_type))


def put(session: Session, target: str, raw: bytes, media_type: str) -> str:
    """Publish a manifest under a tag or digest; returns its digest."""
    headers = {"Content-Type": media_type, "Content-Length": str(len(raw))}
    response = session.request(
        "PUT",
        session.url(f"manifests/{target}"),
        headers=headers,
        body=lambda: raw,
        expected=(201, 202),
        what=f"{session.repository}:{target}",
    )
    finish(response)
    told = response.headers.get("Docker-Content-Digest", "")
    if told and told != digests.of(raw):
        raise RegistryError(f"{session.endpoint.host} stored {session.repository}:{target} as {told} instead of {digests.of(raw)}")
    return digests.of(raw)
