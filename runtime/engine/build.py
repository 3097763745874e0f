"""The engine's door to image builds. On the event loop of the command's process.

``Builds`` is made once per command: services that share stages share their work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.build.events import BuildEvent, BuildWarning, Progress, StepDone, StepNote, StepOutput, StepStarted
from runtime.build.request import BuildRequest, BuildSecret
from runtime.state import ImageState
from runtime.store import Paths

if TYPE_CHECKING:
    from runtime.build.builder import Builder


class Builds:
    """The builds of one command."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._builder: Builder | None = None

    async def build(self, request: BuildRequest, progress: Progress) -> ImageState:
        """Build one image and give it its names. May run beside others. Raises BuildError, ImageError, Unsupported."""
        from anyio import to_thread

        known = await to_thread.run_sync(unchanged, self._paths, request, progress)
        if known is not None:
            return known
        from runtime.build.builder import Builder
        from runtime.build.building import build
        from runtime.images.store import ImageStore

        if self._builder is None:
            self._builder = Builder(ImageStore(self._paths))
        return await build(self._builder.store, request, progress, self._builder)


def unchanged(paths: Paths, request: BuildRequest, progress: Progress) -> ImageState | None:
    """The image of an earlier build of the very same, told as cached; None when something changed. Needs no event loop."""
    from runtime.build.memo import recall
    from runtime.images.store import ImageStore

    return recall(ImageStore(paths), request, progress)


def base_images(request: BuildRequest) -> set[str]:
    """The images that a Dockerfile builds from, as far as can be told without building; mistakes are the build's to report."""
    from runtime.build.checks import base_images as found

    return found(request)


def check(request: BuildRequest) -> tuple[BuildWarning, ...]:
    """What BuildKit's checks would say of the Dockerfile. Raises BuildError when it is none."""
    from runtime.build.checks import check as found

    return found(request)


def push(paths: Paths, reference: str) -> None:
    """Push an image. Raises RegistryError."""
    from runtime.images.push import push as pushed
    from runtime.images.store import ImageStore

    pushed(ImageStore(paths), reference)


__all__ = [
    "BuildEvent", "BuildRequest", "BuildSecret", "BuildWarning", "Builds", "Progress", "StepDone", "StepNote", "StepOutput", "StepStarted",
    "base_images", "check", "push", "unchanged",
]  # fmt: skip
