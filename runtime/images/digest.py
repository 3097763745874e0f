"""Digests: ``sha256:<64 hex>``, checked before they ever become a path. Pure."""

from __future__ import annotations

import hashlib
import re

from runtime.errors import ImageError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def of(data: bytes) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: object) -> bool:
    """Whether ``text`` is a digest that we can verify."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def hex_of(digest: object, what: str = "digest") -> str:
    """The 64 hex digits, safe as a file name. Raises ImageError for anything that is not a sha256 digest (OCI image-spec, descriptor.md)."""
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise ImageError(f"{what} is not a sha256 digest: {digest!r:.100}", hint='a digest is "sha256:" and 64 lower-case hex digits')
    return digest[7:]


def check(data: bytes, digest: str, what: str) -> None:
    """Raise ImageError unless ``data`` has the digest."""
    if of(data) != digest:
        raise ImageError(
            f"{what} does not match its digest: expected {digest}, got {of(data)}", hint="the content was damaged or exchanged on its way"
        )
