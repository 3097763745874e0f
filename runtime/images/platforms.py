"""Platforms (os/architecture/variant) and the choice of one manifest out of an index (image-spec, image-index.md). Pure but for uname(2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.errors import ImageError
from runtime.images.importing import architecture, variant
from runtime.record import dataclass

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386"}
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Where an image runs, as ``linux/arm/v7``."""

    os: str = "linux"
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def host_platform() -> Platform:
    """This machine's."""
    return Platform(architecture=architecture(), variant=variant())


def parse(text: str | None) -> Platform:
    """``linux/amd64``, ``arm64``, ``linux/arm/v7``; None or "" is the host's. Raises ImageError."""
    if not text:
        return host_platform()
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(parts):
        raise ImageError(f"{text!r} is not a platform", hint="a platform is os/architecture[/variant], as linux/amd64")
    if len(parts) == 1:
        parts = ["linux", parts[0]] if parts[0] != "linux" else ["linux", architecture()]
    return Platform(os=parts[0], architecture=_ALIASES.get(parts[1], parts[1]), variant=parts[2] if len(parts) == 3 else "")


def choose(listed: Sequence[object], candidates: Sequence[object], wanted: Platform) -> Mapping[str, object]:
    """The descriptor for the platform: the exact variant first, else one that fits. Raises ImageError that names what there is."""
    described = [d for d in candidates if isinstance(d, dict)]
    matching = [d for d in described if _score(d, wanted)]
    if matching:
        return max(matching, key=lambda d: _score(d, wanted))
    images = [d for d in described if not _is_attestation(d)]
    if len(images) == 1 and not images[0].get("platform"):
        return images[0]
    known = sorted({str(_platform(d)) for d in listed if isinstance(d, dict) and d.get("platform")} - {"unknown/unknown"})
    raise ImageError(f"the image has no manifest for {wanted}", hint=f"there is {', '.join(known)}" if known else "its index is empty")


def _is_attestation(descriptor: Mapping[str, object]) -> bool:
    """What builders put beside an image: provenance, bills of materials (BuildKit: "unknown/unknown", or an annotation)."""
    notes = descriptor.get("annotations")
    return str(_platform(descriptor)) == "unknown/unknown" or (isinstance(notes, dict) and "vnd.docker.reference.type" in notes)


def _platform(descriptor: Mapping[str, object]) -> Platform:
    found = descriptor.get("platform")
    held = found if isinstance(found, dict) else {}
    return Platform(os=str(held.get("os", "")), architecture=str(held.get("architecture", "")), variant=str(held.get("variant", "")))


def _score(descriptor: Mapping[str, object], wanted: Platform) -> int:
    held = _platform(descriptor)
    if (held.os, held.architecture) != (wanted.os, wanted.architecture):
        return 0
    default = _DEFAULT_VARIANTS.get(held.architecture, "")
    have, want = held.variant or default, wanted.variant or default
    if have == want:
        return 100
    if wanted.architecture == "arm" and have < want:
        return 1 + int(have[1:2] or 0)
    return 1 if not held.variant else 0
