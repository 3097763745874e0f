"""Images without a daemon: references, content store, layers, registries, archives, bootstrap. In the command line's process and the builder.

``ImageStore`` (``runtime.images.store``) is the door; pulling and pushing (``pull``, ``push``), archives (``archive``) and ``bootstrap``
are modules of their own because they import more. Reading the store is stdlib-only and cheap.
"""

from __future__ import annotations

from runtime.images.layer import Layer
from runtime.images.store import ImageStore, Removed

__all__ = ["ImageStore", "Layer", "Removed"]
