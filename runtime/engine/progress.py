"""What the engine tells whoever watches it work. Pure data."""

from __future__ import annotations

from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A detail: ``resource`` as in the plan's step ("Image nginx"), ``current`` of ``total`` bytes or steps where known."""

    resource: str
    text: str
    current: int = 0
    total: int = 0
    warning: bool = False
