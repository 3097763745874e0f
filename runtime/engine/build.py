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
        from runtime.build.builder import Builder
        from runtime.build.building import build
        from runtime.images.store import ImageStore

        if self._builder is None:
            self._builder = Builder(ImageStore(self._paths))
        return await build(self._builder.store, request, progress, self._builder)


__all__ = [
    "BuildEvent", "BuildRequest", "BuildSecret", "BuildWarning", "Builds", "Progress", "StepDone", "StepNote", "StepOutput", "StepStarted",
]  # fmt: skip
