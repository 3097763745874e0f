"""Who is adding to the store right now: a locked file per pull, load or build, so that garbage collection spares what nobody names yet.

The kernel frees the lock with the process; a file that nobody holds is stale and removed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from runtime import store


@contextmanager
def lease(root: str) -> Iterator[None]:
    """Layers added or reused while it is held survive any collection that runs meanwhile."""
    os.makedirs(f"{root}/tmp", mode=0o700, exist_ok=True)
    path = f"{root}/tmp/lease-{os.getpid()}-{os.urandom(6).hex()}"
    with ExitStack() as held:
        # a collection holds it alone: it never takes a lease for stale that is about to be locked
        with store.locked(f"{root}/lock", shared=True):
            held.enter_context(store.locked(path))
            # one second early: file times are coarser than the clock
            store.write_atomic(f"{path}.since", str(time.time_ns() - 1_000_000_000))
        try:
            yield
        finally:
            store.remove_file(f"{path}.since")
            store.remove_file(path)


def oldest(root: str) -> int | None:
    """When the oldest lease in force began (ns since the epoch), or None; stale ones are swept."""
    times = []
    for name in store.entries(f"{root}/tmp"):
        if not name.startswith("lease-") or "." in name:
            continue
        path = f"{root}/tmp/{name}"
        if store.is_locked(path):
            times.append(int(store.read_file(f"{path}.since") or 0))
        else:
            store.remove_file(f"{path}.since")
            store.remove_file(path)
    return min(times, default=None)


def sweep(root: str) -> None:
    """Remove what killed processes left half-written."""
    from runtime.images.tree import remove_tree

    for name in store.entries(f"{root}/tmp"):
        path = f"{root}/tmp/{name}"
        if name.startswith("trash-"):
            remove_tree(path)
        elif name.endswith(".lock"):
            if not store.is_locked(path):
                remove_tree(path.removesuffix(".lock"))
                store.remove_file(path)
        elif not name.startswith("lease-") and not os.path.exists(f"{path}.lock"):
            remove_tree(path) if os.path.isdir(path) else store.remove_file(path)
