"""Base images that are not in the store: pulled from their registry, when one answers. On the event loop; the work is in a thread."""

from __future__ import annotations

import threading

from anyio import to_thread

from runtime.errors import ImageError, RuntimeFailure
from runtime.images.store import ImageStore
from runtime.state import ImageState


async def pull(store: ImageStore, reference: str, known: ImageState | None) -> ImageState:
    """Pull an image; one that is there already is good enough when no registry answers. Raises ImageError with what to do."""
    from runtime.images.pull import pull as pull_image

    cancel = threading.Event()
    try:
        return await to_thread.run_sync(lambda: pull_image(store, reference, cancel=cancel), abandon_on_cancel=True)
    except RuntimeFailure as error:
        if known is not None:
            return known
        hint = (
            f"pycompose image bootstrap {reference} makes it from packages, without a registry"
            if _bootstrappable(reference)
            else error.hint
        )
        raise ImageError(f"{reference}: {error.message}", hint=hint) from error
    finally:
        cancel.set()


def _bootstrappable(reference: str) -> bool:
    return reference.rpartition("/")[2].partition(":")[0] in ("debian", "ubuntu", "busybox")
