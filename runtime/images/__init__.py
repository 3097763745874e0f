"""Images without a daemon: references, content store, layers, registries, archives, bootstrap. In the command line's process and the builder.

``ImageStore`` (``runtime.images.store``) is the door; pulling and pushing (``pull``, ``push``), archives (``archive``) and ``bootstrap``
are modules of their own because they import more. Reading the store is stdlib-only and cheap; importing this package alone costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is not imported for it: ``current`` counts single milliseconds
if TYPE_CHECKING:
    from runtime.images.layer import Layer
    from runtime.images.store import ImageStore, Removed

__all__ = ["ImageStore", "Layer", "Removed"]


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name in ("ImageStore", "Removed"):
        from runtime.images import store

        return getattr(store, name)
    if name == "Layer":
        from runtime.images.layer import Layer

        return Layer
    raise AttributeError(f"module 'runtime.images' has no attribute {name!r}")
