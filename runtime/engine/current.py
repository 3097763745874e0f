"""The door to the quick question whether an image is current; see ``runtime.images.current``. Imports next to nothing."""

from __future__ import annotations

from runtime.images.current import current

__all__ = ["current"]
