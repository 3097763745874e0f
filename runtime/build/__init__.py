"""Image builds: Dockerfile → graph of stages → steps named by content → layers. In the command's process, but for each RUN's own."""

from __future__ import annotations

from typing import Any

__all__ = ["BuildRequest", "Builder", "build"]


def __getattr__(name: str) -> Any:
    """Import on use: the runner of RUN steps must stay small."""
    if name == "BuildRequest":
        from runtime.build.request import BuildRequest

        return BuildRequest
    if name == "Builder":
        from runtime.build.builder import Builder

        return Builder
    if name == "build":
        from runtime.build.building import build

        return build
    raise AttributeError(name)
