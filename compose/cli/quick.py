"""Commands that are over before the command line's own machinery would be imported. In the command's process, before anything else.

Only ``image pull`` of images that are there and current, said in the plainest way; everything else goes the usual way, as if nothing had
been asked.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def answered(words: list[str]) -> bool:
    """Whether the command line in ``words`` needed nothing but an answer, which was given."""
    if words[:2] != ["image", "pull"] or os.environ.get("COMPOSE_PROGRESS"):
        return False
    references = [word for word in words[2:] if word not in ("-q", "--quiet")]
    if not references or any(word.startswith("-") for word in references):
        return False
    from runtime.engine.current import current

    images = f"{_root()}/images"
    found = [current(images, reference) for reference in references]
    if not all(found):
        return False
    quiet = len(references) < len(words) - 2
    for reference, one in zip(references, found, strict=True):
        _say(reference, *one, quiet=quiet)  # type: ignore[misc]  # none of them is None
    return True


def leave() -> None:
    """End the process with success, without taking the interpreter apart."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(0)


def _root() -> str:
    """As ``runtime.store.paths`` finds it, for root; nobody else's images are looked for so quickly."""
    return os.environ.get("PYCOMPOSE_ROOT") or ("/var/lib/pycompose" if os.geteuid() == 0 else "/nonexistent")


def _say(reference: str, repository: str, digest: str, image_id: str, *, quiet: bool) -> None:
    shown = reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"
    if not quiet:
        for text in (f"Pulling from {repository}", f"Digest: {digest}", f"Status: Image is up to date for {shown}"):
            sys.stderr.write(f" Image {shown}  {text}\n")
    sys.stdout.write(f"{reference}\n" if quiet else f"{reference}: {image_id}\n")
