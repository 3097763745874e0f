"""The options before the command (``pycompose -p x --profile y up``), frozen, as ``ctx.obj`` carries them."""

from __future__ import annotations

from typing import Literal

from runtime.record import dataclass

Ansi = Literal["never", "always", "auto"]
ProgressMode = Literal["auto", "tty", "plain", "json", "quiet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """What was said on the command line; ``None`` and ``()`` mean "not said", then COMPOSE_* variables, .env and defaults decide."""

    files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    all_resources: bool = False
    ansi: Ansi = "auto"
    progress: ProgressMode = "auto"
    parallel: int = -1
    compatibility: bool = False
    dry_run: bool = False
    verbose: bool = False
