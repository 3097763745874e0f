"""The write door: everything that changes containers, networks, volumes or images. Runs in the command's own process.

``Engine`` is imported on first use, so that ``runtime.engine.access`` (exec, cp, attach) stays free of asyncio.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is not imported for it: some commands count single milliseconds
if TYPE_CHECKING:
    from typing import Any

    from runtime.engine.engine import Engine

__all__ = ["Engine"]


def __getattr__(name: str) -> Any:
    if name == "Engine":
        from runtime.engine.engine import Engine

        return Engine
    raise AttributeError(name)
