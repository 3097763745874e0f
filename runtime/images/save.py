"""Saves images as Docker does: one tar that is a `docker save` archive and an OCI layout at once (layers uncompressed, each once)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from runtime.errors import ImageError
from runtime.images import digest as digests
from runtime.images.reference import Reference, parse
from runtime.images.tarwriter import TarWriter
from runtime.record import dataclass

if TYPE_CHECKING:
    from runtime.images.store import ImageStore
    from runtime.state import ImageState

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    image: ImageState
    names: tuple[Reference, ...]
    config: bytes
    manifest: bytes


def save(
    store: ImageStore, references: Sequence[str], file: BinaryIO, format: str = "docker", documents: Mapping[str, bytes] = MappingProxyType({})  # noqa: A002
) -> None:  # fmt: skip
    """See ``ImageStore.save``; ``documents`` are further members, which readers of images pass over."""
    if format not in ("docker", "oci"):
        raise ImageError(f"unknown archive format {format!r}", hint="docker (read by `docker load`, skopeo and OCI tools) or oci")
    if not references:
        raise ImageError("nothing to save", hint="name at least one image")
    saved = _collect(store, references)
    tar = TarWriter(file)
    tar.member("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    tar.member("index.json", _dump(_index(saved)))
    if format == "docker":
        tar.member("manifest.json", _dump([_docker_entry(item) for item in saved]))
        tar.member("repositories", _dump(_repositories(saved)))
    for name, data in documents.items():
        tar.member(name, data)
    _write_blobs(store, tar, saved)
    tar.close()


def _write_blobs(store: ImageStore, tar: TarWriter, saved: Sequence[_Saved]) -> None:
    tar.directory("blobs")
    tar.directory("blobs/sha256")
    for blob in dict.fromkeys(b for item in saved for b in (item.manifest, item.config)):
        tar.member(_place(digests.of(blob)), blob)
    for diff_id in dict.fromkeys(d for item in saved for d in item.image.config.diff_ids):
        tar.stream(_place(diff_id), store.content.require(diff_id).tar_size, store.content.tar(diff_id))


def _collect(store: ImageStore, references: Sequence[str]) -> list[_Saved]:
    names: dict[str, list[Reference]] = {}
    images: dict[str, ImageState] = {}
    for text in references:
        image = store.get(text)
        images[image.id] = image
        names.setdefault(image.id, []).extend(_names(text, image))
    return [_saved(store, image, tuple(dict.fromkeys(names[image_id]))) for image_id, image in images.items()]


def _names(text: str, image: ImageState) -> list[Reference]:
    try:
        name = parse(text)
    except ImageError:
        return []
    return [name] if name.tag and name.familiar in image.references else []


def _saved(store: ImageStore, image: ImageState, names: tuple[Reference, ...]) -> _Saved:
    raw = store.raw_config(image.id)
    layers = [{"mediaType": LAYER, "digest": d, "size": store.content.require(d).tar_size} for d in image.config.diff_ids]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": image.id, "size": len(raw)},
        "layers": layers,
    }
    return _Saved(image=image, names=names, config=raw, manifest=_dump(manifest))


def _index(saved: Sequence[_Saved]) -> Mapping[str, object]:
    manifests: list[object] = []
    for item in saved:
        plain = {"mediaType": MANIFEST, "digest": digests.of(item.manifest), "size": len(item.manifest)}
        platform = {"architecture": item.image.config.architecture, "os": item.image.config.os}
        for name in item.names:
            notes = {"io.containerd.image.name": name.canonical, "org.opencontainers.image.ref.name": name.tag}
            manifests.append({**plain, "annotations": notes, "platform": platform})
        if not item.names:
            manifests.append({**plain, "platform": platform})
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}


def _docker_entry(item: _Saved) -> Mapping[str, object]:
    return {
        "Config": _place(item.image.id),
        "RepoTags": [name.familiar for name in item.names] or None,
        "Layers": [_place(d) for d in item.image.config.diff_ids],
    }


def _repositories(saved: Sequence[_Saved]) -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for item in saved:
        for name in item.names:
            found.setdefault(name.familiar_name, {})[name.tag] = (item.image.config.diff_ids or (item.image.id,))[-1][7:]
    return found


def _place(digest: str) -> str:
    return f"blobs/sha256/{digests.hex_of(digest)}"


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
