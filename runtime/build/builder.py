"""Makes layers, each once: the step cache, and a lock per key so that builds of one command share what is the same. On the event loop."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import anyio
from anyio import to_thread

from runtime.build.cache import CacheRecord, StepCache, now
from runtime.images.layer import Layer
from runtime.images.store import ImageStore

Make = Callable[[str, str], Awaitable[None]]  # (staging directory, upper directory)


class Builder:
    """What the builds of one command share. Hold the store's ``lease`` while it works."""

    def __init__(self, store: ImageStore) -> None:
        self.store = store
        self.cache = StepCache(store)
        self._locks: dict[str, anyio.Lock] = {}
        self._made: dict[str, CacheRecord] = {}

    async def record(self, key: str, description: str, make: Make, *, use_cache: bool = True) -> tuple[CacheRecord, bool]:
        """What the step ``key`` makes, and whether it was there already. What this command made counts also when the cache does not."""
        async with self._locks.setdefault(key, anyio.Lock()):
            known = self._made.get(key)
            if known is None and use_cache:
                known = await to_thread.run_sync(self.cache.find, key)
            if known is not None:
                return known, True
            layer = await self._layer(make)
            record = CacheRecord(diff_id=layer.diff_id, created=now(), description=description, size=layer.size)
            await to_thread.run_sync(self.cache.add, key, record)
            self._made[key] = record
            return record, False

    async def _layer(self, make: Make) -> Layer:
        with self.store.content.staging() as staging:
            upper = f"{staging}/upper"
            os.mkdir(upper, 0o755)
            await make(staging, upper)
            return await to_thread.run_sync(lambda: self.store.content.add_directory(upper, move=True))

    def directories(self, layers: tuple[str, ...]) -> tuple[str, ...]:
        """Overlay lower directories, lowest first; a layer that comes twice counts where it is highest."""
        topmost = reversed(dict.fromkeys(reversed(layers)))
        return tuple(self.store.layer_directory(diff_id) for diff_id in topmost)
