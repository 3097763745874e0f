"""Pulling and removing images as operations of a plan: in threads, with progress. In the command's process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from anyio import to_thread

from runtime.engine.progress import Progress
from runtime.errors import InUse, NotFound
from runtime.store import Paths

Report = Callable[[Progress], None]


async def pull_image(where: Paths, reference: str, platform: str, policy: str, report: Report) -> None:
    """Pull ``reference`` for ``platform`` ("" is this machine's); with policy "missing" an image that is there is left alone."""
    await to_thread.run_sync(partial(_pull, where, reference, platform, policy, report), abandon_on_cancel=True)


async def remove_image(where: Paths, reference: str, report: Report) -> None:
    """Untag; an image that containers use stays, with a warning."""
    await to_thread.run_sync(partial(_remove, where, reference, report))


def _pull(where: Paths, reference: str, platform: str, policy: str, report: Report) -> None:
    from runtime.images import ImageStore
    from runtime.images.pull import PullEvent, pull

    def tell(event: PullEvent) -> None:
        text = f"{event.id} {event.status}".strip()
        report(Progress(resource=f"Image {reference}", text=text, current=event.current, total=event.total))

    store = ImageStore(where)
    held = store.find(reference) if policy == "missing" else None
    if held is not None and held.config.fits(platform):
        return
    pull(store, reference, platform=platform or None, progress=tell)


def _remove(where: Paths, reference: str, report: Report) -> None:
    from runtime.images import ImageStore

    try:
        ImageStore(where).remove(reference)
    except NotFound:
        return
    except InUse as error:
        report(Progress(resource=f"Image {reference}", text=error.message, warning=True))
