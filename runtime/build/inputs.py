"""Trees of files that instructions read from: contexts, stages and images, by name. Pure data with views."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.build.contents import Contents
from runtime.build.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One tree. ``layers`` are directories, lowest first, for mounting; ``plain`` says that mounting shows exactly what the view shows."""

    title: str
    view: View
    layers: tuple[str, ...]
    contents: Contents
    plain: bool = True
