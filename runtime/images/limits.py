"""What an image may ask of this host, so that a hostile one cannot fill the disk or the memory. Pure."""

from __future__ import annotations

from runtime.record import dataclass

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds per layer (``[limits]`` in registries.toml) and per document. Sizes are bytes.

    ``ratio`` is unpacked to compressed size and counts beyond ``ratio_floor`` only; ``reserve`` stays free on the disk.
    """

    entries: int = 1_000_000
    layer_bytes: int = 128 * GIB
    ratio: int = 400
    ratio_floor: int = 8 * GIB
    reserve: int = 256 * MIB
    path: int = 4095
    depth: int = 256  # directories below each other; readers of trees are recursive
    header: int = 1 * MIB  # one PAX header or long name
    manifest: int = 4 * MIB  # distribution-spec: registries refuse larger ones
    layers: int = 512
    index_depth: int = 4


DEFAULT = Limits()
