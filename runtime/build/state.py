"""Where a stage stands between two instructions. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from runtime.build.draft import Draft
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """After some instructions of a stage.

    ``layers`` are diff ids, lowest first; ``key`` names the content of the file system by how it was made. ``variables`` is the environment in force,
    ARGs included; ``arguments`` the ARGs with a value (they reach RUN and history, not the image),
    ``declared`` all of them. ``command_set`` says whether this stage set CMD.
    """

    layers: tuple[str, ...]
    key: str
    draft: Draft
    variables: Mapping[str, str]
    arguments: Mapping[str, str] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    command_set: bool = False
