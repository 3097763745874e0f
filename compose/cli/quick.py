"""Commands that are over before the command line's own machinery would be imported. In the command's process, before anything else.

``image pull`` of images that are there and current, and ``exec`` without a terminal, said in the plainest way; everything else, and everything that
goes wrong, goes the usual way, as if nothing had been asked.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_DECIDING = ("COMPOSE_ANSI", "COMPOSE_PROGRESS", "COMPOSE_PARALLEL_LIMIT", "COMPOSE_COMPATIBILITY")
_FILE, _PROJECT, _NO_TERMINAL = ("-f", "--file"), ("-p", "--project-name"), ("-T", "--no-tty", "--no-TTY")
INTERRUPTED = 130


def answered(words: list[str]) -> int | None:
    """The exit code of the command line in ``words``, when it could be carried out here; None when nothing was done."""
    if any(os.environ.get(variable) for variable in _DECIDING):
        return None
    return _pull(words[2:]) if words[:2] == ["image", "pull"] else _exec(words)


def _pull(words: list[str]) -> int | None:
    references = [word for word in words if word not in ("-q", "--quiet")]
    if not references or any(word.startswith("-") for word in references):
        return None
    from runtime.engine.current import current

    images = f"{_root()}/images"
    found = [current(images, reference) for reference in references]
    if not all(found):
        return None
    quiet = len(references) < len(words)
    for reference, one in zip(references, found, strict=True):
        _say(reference, *one, quiet=quiet)  # type: ignore[misc]  # none of them is None
    return 0


def _exec(words: list[str]) -> int | None:
    """``[-f FILE] [-p PROJECT] exec [-T] SERVICE COMMAND…``. A process that was started is never started again: what is raised was raised before."""
    said: dict[str, list[str]] = {"files": [], "project_name": []}
    while len(words) > 2 and words[0] in (*_FILE, *_PROJECT):
        said["files" if words[0] in _FILE else "project_name"].append(words[1])
        words = words[2:]
    if words[:1] != ["exec"]:
        return None
    piped = words[1:2] != [] and words[1] in _NO_TERMINAL
    service, *command = (words[2:] if piped else words[1:]) or ["-"]
    if not command or service.startswith("-") or command[0] == "--" or not (piped or not os.isatty(1)):
        return None
    return _executed(said, service, command)


def _executed(said: dict[str, list[str]], service: str, command: list[str]) -> int | None:
    from compose.cli import project
    from compose.cli.options import GlobalOptions
    from compose.errors import ComposeError
    from runtime.engine import access
    from runtime.errors import RuntimeFailure
    from runtime.spec import ExecSpec

    try:
        options = GlobalOptions(files=tuple(said["files"]), project_name=said["project_name"][-1] if said["project_name"] else None)
        return access.exec_in(project.one(options, service).spec.id, ExecSpec(argv=tuple(command)))
    except (ComposeError, RuntimeFailure, OSError):
        return None
    except KeyboardInterrupt:
        return INTERRUPTED


def leave(code: int) -> None:
    """End the process, without taking the interpreter apart."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def _root() -> str:
    """As ``runtime.store.paths`` finds it, for root; nobody else's images are looked for so quickly."""
    return os.environ.get("PYCOMPOSE_ROOT") or ("/var/lib/pycompose" if os.geteuid() == 0 else "/nonexistent")


def _say(reference: str, repository: str, digest: str, image_id: str, *, quiet: bool) -> None:
    shown = reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"
    if not quiet:
        for text in (f"Pulling from {repository}", f"Digest: {digest}", f"Status: Image is up to date for {shown}"):
            sys.stderr.write(f" Image {shown}  {text}\n")
    sys.stdout.write(f"{reference}\n" if quiet else f"{reference}: {image_id}\n")
