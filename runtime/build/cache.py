"""The build cache: step keys to layers. One small JSON file per key below ``<root>/images/cache/steps``; in the command's process.

A key names what a step does to what (see ``keys``), so a hit is right wherever the record came from. ``<root>/images/cache/pins/build``
lists the layers that records need, so that the store's garbage collection keeps them.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime

from runtime import codec
from runtime.images.store import ImageStore
from runtime.record import dataclass
from runtime.store import entries, read_file, remove_file, write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecord:
    """What a step made: a layer, or "" when it changed nothing; ``created`` is RFC 3339, ``used_at`` ns since the epoch, ``size`` in bytes."""

    diff_id: str = ""
    created: str
    description: str = ""
    size: int = 0


class StepCache:
    """The records of one store."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self.root = f"{store.root}/cache"
        self._steps = f"{self.root}/steps"

    def find(self, key: str) -> CacheRecord | None:
        """The record of a key whose layer is still there; a garbage collection cannot take the layer while the caller's lease lasts."""
        content = read_file(self._path(key))
        try:
            record = codec.loads(CacheRecord, content) if content is not None else None
        except (ValueError, TypeError, KeyError):
            return None
        if record is None or (record.diff_id and self._store.content.reuse(record.diff_id) is None):
            return None
        self._touch(key)
        return record

    def add(self, key: str, record: CacheRecord) -> None:
        """Remember what a step made."""
        path = self._path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomic(path, codec.dumps(record))
        if record.diff_id:
            self._pin(record.diff_id)

    def all(self) -> dict[str, CacheRecord]:
        """Every record by key."""
        found = {}
        for folder in entries(self._steps):
            for name in entries(f"{self._steps}/{folder}"):
                content = read_file(f"{self._steps}/{folder}/{name}")
                if name.endswith(".json") and content:
                    found[name.removesuffix(".json")] = codec.loads(CacheRecord, content)
        return found

    def prune(self, *, unused_for: float = 0.0) -> int:
        """Forget records that were not used for so many seconds; the store's garbage collection then frees their layers. How many went."""
        limit = time.time() - unused_for
        gone = [key for key in self.all() if _age(self._path(key)) <= limit]
        for key in gone:
            remove_file(self._path(key))
        self._write_pins({record.diff_id for record in self.all().values() if record.diff_id})
        return len(gone)

    def _path(self, key: str) -> str:
        return f"{self._steps}/{key[:2]}/{key}.json"

    def _touch(self, key: str) -> None:
        try:
            os.utime(self._path(key))
        except FileNotFoundError:
            return

    def _pin(self, diff_id: str) -> None:
        path = f"{self.root}/pins/build"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, f"{diff_id}\n".encode())
        finally:
            os.close(descriptor)

    def _write_pins(self, diff_ids: set[str]) -> None:
        os.makedirs(f"{self.root}/pins", exist_ok=True)
        write_atomic(f"{self.root}/pins/build", "".join(f"{d}\n" for d in sorted(diff_ids)))


def key_of(**parts: object) -> str:
    """A key (64 hex digits) out of everything that decides a step's result. Values are JSON; order of names does not matter."""
    import hashlib

    text = json.dumps({"v": 4, **parts}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def now() -> str:
    """The time, RFC 3339 with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _age(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0
