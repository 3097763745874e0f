"""What pulling and pushing report, layer by layer. Pure data; the caller's ``progress`` may be called from several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import field

from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEvent:
    """A step of a layer, or a line about the image when ``id`` is "".

    ``id`` is the first 12 hex digits of the layer's digest; ``status`` as Docker words it (Waiting, Downloading, Extracting, Pull complete,
    Already exists, Preparing, Pushing, Pushed, Layer already exists, Mounted from …); ``current`` of ``total`` bytes, 0 when that says nothing.
    """

    reference: str
    status: str
    id: str = ""
    current: int = 0
    total: int = 0


Progress = Callable[[TransferEvent], None]


class Cancelled(Exception):  # a control flow, as asyncio's
    """The caller gave up; nothing was published."""


@dataclass(slots=True)
class Reporter:
    """Sends events for one image, no layer more often than every tenth of a second; carries the wish to stop to all threads."""

    reference: str
    progress: Progress | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    _last: dict[str, float] = field(default_factory=dict)

    def image(self, status: str) -> None:
        """Report a line about the image."""
        if self.progress:
            self.progress(TransferEvent(reference=self.reference, status=status))

    def layer(self, digest: str, status: str, current: int = 0, total: int = 0) -> None:
        """Report a step of a layer."""
        if self.progress:
            self.progress(TransferEvent(reference=self.reference, id=digest[7:19], status=status, current=current, total=total))

    def bytes(self, digest: str, status: str, current: int, total: int) -> None:
        """Report bytes that moved; raises Cancelled when nobody wants them any more."""
        self.check()
        if self.progress:
            now = time.monotonic()
            if now - self._last.get(digest, 0.0) >= 0.1:
                self._last[digest] = now
                self.layer(digest, status, current, total)

    def check(self) -> None:
        """Raise Cancelled when the caller gave up."""
        if self.cancel.is_set():
            raise Cancelled
