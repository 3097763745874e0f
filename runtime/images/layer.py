"""One layer as the store knows it. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer in the store, as ``layer.json`` holds it.

    ``diff_id`` is the digest of the uncompressed tar (image-spec, config.md), ``size`` the bytes in its files and links, ``tar_size``
    the length of that tar. ``sources`` remembers, by blob digest, where the compressed form was seen, for mounts on push.
    ``replaced`` are (ordinal, path, number): files that a later entry of the same tar hid (see ``split``).
    """

    diff_id: str
    size: int = 0
    tar_size: int = 0
    entries: int = 0
    boot_id: str = ""
    created_at: int = 0
    sources: Mapping[str, Source] = field(default_factory=dict)
    replaced: tuple[tuple[int, str, int], ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the layer as an uncompressed blob: the same as its diff id."""
        return self.diff_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A compressed form of a layer that registries are known to hold: ``repositories`` are "registry/repository"."""

    media_type: str
    size: int
    repositories: tuple[str, ...] = ()
