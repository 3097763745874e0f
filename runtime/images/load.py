"""Loads image archives: `docker save` (manifest.json), OCI layouts (oci-layout, index.json), or both in one, from one pass over a tar.

Blobs are unpacked from a spool in the store's own temporary directory; names inside the archive never become paths of ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

from runtime.errors import ImageError
from runtime.images import config as configs
from runtime.images import digest as digests
from runtime.images.bytestream import ByteStream, Hashing, read_chunks
from runtime.images.compression import decompressed
from runtime.images.layers import bounded
from runtime.images.limits import DEFAULT
from runtime.images.platforms import choose, host_platform
from runtime.images.reference import parse
from runtime.images.tarstream import TarStream
from runtime.images.tree import clean
from runtime.record import dataclass

if TYPE_CHECKING:
    from runtime.images.store import ImageStore

_HINT = "`docker save`, `skopeo copy … docker-archive:` and `oci-archive:` write what can be loaded; for a plain root file system use `image import`"
_MAX_DOCUMENT = 8 << 20
_MAX_MEMBERS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """The archive's members as numbered files of ours, by their name inside; links between members resolved."""

    home: str
    members: Mapping[str, str]

    def path(self, name: str) -> str:
        """The file of ours that holds a member."""
        found = self.members.get(os.fsdecode(clean(os.fsencode(name), DEFAULT)))
        if found is None:
            raise ImageError(f"the archive names {name!r}, which it does not hold", hint=_HINT)
        return found

    def read(self, name: str) -> bytes:
        """A small document."""
        path = self.path(name)
        if os.path.getsize(path) > _MAX_DOCUMENT:
            raise ImageError(f"{name!r} in the archive has {os.path.getsize(path)} bytes; more than {_MAX_DOCUMENT} is refused")
        with open(path, "rb") as file:
            return file.read()

    def blob(self, descriptor: Mapping[str, object], what: str) -> bytes:
        """A small blob, checked against its descriptor."""
        data = self.read(blob_name(descriptor.get("digest"), what))
        digests.check(data, str(descriptor["digest"]), what)
        return data


def blob_name(digest: object, what: str) -> str:
    """Where an OCI layout keeps a blob."""
    return f"blobs/sha256/{digests.hex_of(digest, what)}"


def load(store: ImageStore, tar: BinaryIO) -> tuple[str, ...]:
    """See ``ImageStore.load``."""
    return load_with(store, tar, "")[0]


def load_with(store: ImageStore, tar: BinaryIO, prefix: str) -> tuple[tuple[str, ...], Mapping[str, bytes]]:
    """``load``, and besides the small documents whose names in the archive begin with ``prefix`` ("" for none)."""
    with store.lease(), store.content.staging() as home:
        spool = _spool(bounded(read_chunks(tar), decompressed, store.limits), home)
        documents = {name: spool.read(name) for name in spool.members if prefix and name.startswith(prefix)}
        if "manifest.json" in spool.members:
            return _load_docker(store, spool), documents
        if "index.json" in spool.members:
            return _load_layout(store, spool), documents
    raise ImageError("the archive is neither a `docker save` archive nor an OCI layout", hint=_HINT)


def _spool(chunks: Iterator[bytes], home: str) -> Spool:
    tar = TarStream(ByteStream(chunks), lambda _: None)
    members: dict[str, str] = {}
    links: dict[str, str] = {}
    for number, entry in enumerate(tar):
        if number >= _MAX_MEMBERS:
            raise ImageError(f"the archive has more than {_MAX_MEMBERS} members")
        name = os.fsdecode(clean(entry.name, DEFAULT))
        if entry.kind == b"0" and entry.sparse is None:
            members[name] = f"{home}/{number}"
            with open(members[name], "xb", buffering=0) as file:
                for piece in tar.body():
                    file.write(piece)
        elif entry.kind in b"12":
            base = os.path.dirname(name) if entry.kind == b"2" else ""
            links[name] = os.path.normpath(os.path.join(base, os.fsdecode(entry.link)))
    members |= {name: members[target] for name, target in links.items() if target in members}
    return Spool(home=home, members=members)


def _load_docker(store: ImageStore, spool: Spool) -> tuple[str, ...]:
    listed = _json(spool.read("manifest.json"), "manifest.json")
    if not isinstance(listed, list) or not listed:
        raise ImageError("the archive's manifest.json lists no images", hint=_HINT)
    return tuple(name for item in listed for name in _load_docker_image(store, spool, item))


def _load_docker_image(store: ImageStore, spool: Spool, item: object) -> tuple[str, ...]:
    if not isinstance(item, dict) or not isinstance(item.get("Config"), str) or not isinstance(item.get("Layers"), list):
        raise ImageError("the archive's manifest.json is malformed", hint=_HINT)
    raw = spool.read(item["Config"])
    diff_ids = configs.parse(raw).diff_ids
    if len(diff_ids) != len(item["Layers"]):
        raise ImageError(f"the archive has {len(item['Layers'])} layers for an image of {len(diff_ids)}", hint=_HINT)
    for name, diff_id in zip(item["Layers"], diff_ids, strict=True):
        _add_layer(store, spool.path(str(name)), diff_id)
    names = tuple(str(name) for name in item.get("RepoTags") or ())
    state = store.add_image(raw, diff_ids, names)
    return tuple(parse(name).familiar for name in names) or (state.id,)


def _add_layer(store: ImageStore, path: str, diff_id: str) -> None:
    if store.content.reuse(diff_id) is None:
        with open(path, "rb", buffering=0) as file:
            store.content.add_tar(read_chunks(file), diff_id)


def _load_layout(store: ImageStore, spool: Spool) -> tuple[str, ...]:
    index = configs.document(spool.read("index.json"), "index.json")
    manifests = index.get("manifests")
    if not isinstance(manifests, list) or not manifests:
        raise ImageError("the OCI layout's index.json lists no manifests", hint=_HINT)
    loaded: list[str] = []
    for descriptor in manifests:
        if isinstance(descriptor, dict):
            loaded += _load_described(store, spool, descriptor)
    return tuple(loaded)


def _load_described(store: ImageStore, spool: Spool, descriptor: Mapping[str, object]) -> list[str]:
    names = _names(descriptor)
    for _ in range(store.limits.index_depth):
        manifest = configs.document(spool.blob(descriptor, "a manifest"), "a manifest")
        nested = manifest.get("manifests")
        if not isinstance(nested, list):
            return [_load_manifest(store, spool, descriptor, manifest, names)]
        descriptor = choose(nested, _present(nested, spool), host_platform())
    raise ImageError(f"the OCI layout nests indexes deeper than {store.limits.index_depth}", hint=_HINT)


def _present(nested: list[object], spool: Spool) -> list[object]:
    held: list[object] = [
        d for d in nested if isinstance(d, dict) and digests.is_digest(d.get("digest")) and blob_name(d["digest"], "") in spool.members
    ]
    return held or nested


def _load_manifest(
    store: ImageStore, spool: Spool, descriptor: Mapping[str, object], manifest: Mapping[str, object], names: tuple[str, ...]
) -> str:  # fmt: skip
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise ImageError("a manifest of the OCI layout is malformed", hint=_HINT)
    raw = spool.blob(config, "an image configuration")
    diff_ids = configs.parse(raw).diff_ids
    if len(diff_ids) != len(layers):
        raise ImageError(f"a manifest has {len(layers)} layers for an image of {len(diff_ids)}", hint=_HINT)
    for layer, diff_id in zip(layers, diff_ids, strict=True):
        path = spool.path(blob_name(layer.get("digest") if isinstance(layer, dict) else None, "a layer"))
        _check_blob(path, str(layer["digest"]))
        _add_layer(store, path, diff_id)
    state = store.add_image(raw, diff_ids, names, manifests=[spool.blob(descriptor, "a manifest")])
    return parse(names[0]).familiar if names else state.id


def _check_blob(path: str, digest: str) -> None:
    with open(path, "rb", buffering=0) as file:
        hashing = Hashing(read_chunks(file))
        for _ in hashing:
            pass
    if hashing.digest != digest:
        raise ImageError(
            f"a layer of the archive does not match its digest: expected {digest}, got {hashing.digest}", hint="the archive is damaged"
        )


def _names(descriptor: Mapping[str, object]) -> tuple[str, ...]:
    annotations = descriptor.get("annotations")
    if not isinstance(annotations, dict):
        return ()
    for key in ("io.containerd.image.name", "org.opencontainers.image.ref.name"):
        name = annotations.get(key)
        if isinstance(name, str) and ("/" in name or ":" in name):
            return (name,)
    return ()


def _json(raw: bytes, what: str) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is not valid JSON: {str(error)[:200]}", hint=_HINT) from None
