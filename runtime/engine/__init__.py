"""The write door: everything that changes containers, networks, volumes or images. Runs in the command's own process.

``Engine`` is imported on first use, so that ``runtime.engine.access`` (exec, cp, attach) stays free of asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.engine.engine import Engine

__all__ = ["Engine"]


def __getattr__(name: str) -> Any:
    if name == "Engine":
        from runtime.engine.engine import Engine

        return Engine
    raise AttributeError(name)
