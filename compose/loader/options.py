"""What a load is asked for. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How to load a project; the defaults are those of the command line in the current directory.

    ``None`` and ``()`` mean "not said": then ``COMPOSE_*`` variables of ``environment`` (the process's), .env files and defaults decide.
    ``services`` selects services by name (and what they depend on, unless ``with_dependencies`` is false). ``explain`` keeps what was overridden and
    which variables went where. ``as_written`` (with ``interpolate`` off, for showing only: such a tree has no model) keeps lists of ``KEY=value``,
    commands, sizes and the like in the form that they were written in. ``texts`` stands in for files by absolute path ("-" is the standard input),
    for editors and tests.
    """

    files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    working_directory: str | None = None
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    with_dependencies: bool = True
    environment: Mapping[str, str] | None = None
    all_resources: bool = False
    compatibility: bool = False
    interpolate: bool = True
    as_written: bool = False
    normalize: bool = True
    resolve_paths: bool = True
    consistency: bool = True
    resolve_environment: bool = True
    explain: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
