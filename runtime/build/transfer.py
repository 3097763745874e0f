"""The cache moved elsewhere and back: ``cache_to`` and ``cache_from``. In worker threads of the command's process.

What is moved is an ordinary image whose configuration carries the keys of the steps that made its layers, so that any registry or archive can
hold it: ``type=registry,ref=…`` pushes it, ``type=local,dest=…`` writes ``cache.tar`` there, ``type=inline`` puts the keys into the built image.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import field

from runtime import codec
from runtime.build import platform
from runtime.build.cache import CacheRecord, StepCache
from runtime.errors import BuildError, RuntimeFailure
from runtime.images.store import ImageStore
from runtime.record import dataclass

FIELD = "pycompose.cache.v1"
_ARCHIVE = "cache.tar"
_NAME = "pycompose-cache.invalid/export"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlace:
    """One ``cache_from`` or ``cache_to``: ``kind`` local, registry or inline, and its attributes."""

    kind: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return ",".join((f"type={self.kind}", *(f"{k}={v}" for k, v in self.attributes.items())))


def parse(text: str) -> CachePlace:
    """``type=local,src=dir`` and the like; a bare reference is a registry's. Raises BuildError for what is not supported."""
    fields = next(csv.reader([text]), [])
    if len(fields) == 1 and "=" not in fields[0]:
        return CachePlace(kind="registry", attributes={"ref": fields[0]})
    pairs = {key.strip().lower(): value for key, _, value in (part.partition("=") for part in fields)}
    kind = pairs.pop("type", "")
    if kind not in ("local", "registry", "inline"):
        raise BuildError(f"cache {text!r}: type {kind!r} is not supported", hint="there are local, registry and inline")
    if kind == "registry" and not pairs.get("ref"):
        raise BuildError(f"cache {text!r} has no ref")
    if kind == "local" and not (pairs.get("src") or pairs.get("dest")):
        raise BuildError(f"cache {text!r} has neither src nor dest")
    return CachePlace(kind=kind, attributes=pairs)


def fetch(store: ImageStore, cache: StepCache, place: CachePlace) -> int:
    """Bring records in; how many were new. Raises RuntimeFailure when the place cannot be read."""
    if place.kind == "inline":
        return 0
    if place.kind == "local":
        names = _load(store, f"{place.attributes.get('src') or place.attributes['dest']}/{_ARCHIVE}")
    else:
        names = _pull(store, place.attributes["ref"])
    added = sum(_adopt(store, cache, store.get(name).id) for name, _ in names)
    for name, known in names:
        if not known:  # the records keep its layers; the name was for bringing it in only
            _forget(store, name)
    return added


def send(store: ImageStore, place: CachePlace, records: Mapping[str, CacheRecord]) -> None:
    """Write the records of a build, with their layers, to where ``cache_to`` says. ``inline`` is the exporter's (``with_keys``)."""
    if place.kind == "inline":
        return
    config = _document(records)
    layers = tuple(json.loads(config)["rootfs"]["diff_ids"])
    name = place.attributes["ref"] if place.kind == "registry" else f"{_NAME}:{os.getpid()}-{os.urandom(4).hex()}"
    store.add_image(config, layers, (name,))
    try:
        if place.kind == "registry":
            from runtime.images.push import push

            push(store, name)
        else:
            _save(store, name, place.attributes.get("dest") or place.attributes["src"])
    finally:
        _forget(store, name)


def with_keys(config: bytes, records: Mapping[str, CacheRecord]) -> bytes:
    """An image's configuration that also carries keys (``type=inline``)."""
    document = json.loads(config)
    known = set(document["rootfs"]["diff_ids"])
    document[FIELD] = {k: codec.encode(r) for k, r in sorted(records.items()) if not r.diff_id or r.diff_id in known}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _document(records: Mapping[str, CacheRecord]) -> bytes:
    own = platform.native()
    layers = list(dict.fromkeys(record.diff_id for record in records.values() if record.diff_id))
    document = {"architecture": own.architecture, "os": own.os, "config": {}, "rootfs": {"type": "layers", "diff_ids": layers}}
    return with_keys(json.dumps(document).encode(), records)


def _adopt(store: ImageStore, cache: StepCache, image_id: str) -> int:
    document = json.loads(store.raw_config(image_id))
    found = document.get(FIELD)
    if not isinstance(found, dict):
        return 0
    added = 0
    for key, value in found.items():
        if len(key) == 64 and key.isalnum() and cache.find(key) is None:
            cache.add(key, codec.decode(CacheRecord, value))
            added += 1
    return added


def _pull(store: ImageStore, reference: str) -> list[tuple[str, bool]]:
    from runtime.images.pull import pull

    known = store.find(reference) is not None
    try:
        pull(store, reference)
    except RuntimeFailure:
        if not known:
            raise
    return [(reference, known)]


def _load(store: ImageStore, archive: str) -> list[tuple[str, bool]]:
    try:
        with open(archive, "rb") as file:
            return [(name, False) for name in store.load(file)]
    except OSError as error:
        raise BuildError(f"cache {archive}: {error.strerror}") from None


def _save(store: ImageStore, name: str, directory: str) -> None:
    os.makedirs(directory, exist_ok=True)
    temporary = f"{directory}/.{_ARCHIVE}.{os.getpid()}"
    with open(temporary, "wb") as file:
        store.save([name], file, format="oci")
    os.replace(temporary, f"{directory}/{_ARCHIVE}")


def _forget(store: ImageStore, name: str) -> None:
    try:
        store.remove(name)
    except RuntimeFailure:
        return
