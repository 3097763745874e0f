"""Base images without a registry: Debian and Ubuntu suites from the distribution's package mirror, busybox from its static binary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.errors import ImageError
from runtime.images.reference import DEFAULT_REGISTRY, parse
from runtime.state import ImageState

if TYPE_CHECKING:
    from runtime.images.store import ImageStore

Report = Callable[[str], None]


def bootstrap(store: ImageStore, reference: str, *, mirror: str = "", report: Report | None = None) -> ImageState:
    """Make ``debian:<suite>[-slim]``, ``ubuntu:<suite>`` or ``busybox`` and name it so. Needs root, and the mirror for the first two.

    ``mirror`` overrides the host's own package sources; ``report`` gets one line per step. The same packages give the same image, byte for
    byte. Raises ImageError with the last lines of the tool that failed.
    """
    name = parse(reference)
    if name.registry != DEFAULT_REGISTRY or name.digest:
        raise ImageError(f"{reference!r} cannot be bootstrapped", hint="known are debian:<suite>[-slim], ubuntu:<suite> and busybox")
    tell = report or (lambda _: None)
    match name.familiar_name:
        case "busybox":
            from runtime.images.bootstrap import busybox

            return busybox.bootstrap(store, name, tell)
        case "debian" | "ubuntu":
            from runtime.images.bootstrap import debian

            return debian.bootstrap(store, name, mirror, tell)
        case _:
            raise ImageError(f"{reference!r} cannot be bootstrapped", hint="known are debian:<suite>[-slim], ubuntu:<suite> and busybox")
