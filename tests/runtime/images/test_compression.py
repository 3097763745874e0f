"""gzip and zstd streams, whole, in pieces, many in one, cut and damaged."""

from __future__ import annotations

import gzip
import os
import sys

import pytest

from runtime.errors import ImageError
from runtime.images.compression import decompressed, gzipped, kind_of
from runtime.images.layers import bounded
from runtime.images.limits import Limits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONTENT = os.urandom(100_000) + b"a" * 3_000_000 + os.urandom(1000)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1000, 70_000, 1 << 22])
@pytest.mark.parametrize("pack", [lambda d: d, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
def test_round_trip(size: int, pack: object) -> None:
    packed = pack(CONTENT)  # type: ignore[operator]
    assert b"".join(decompressed(pieces(packed, size))) == CONTENT


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_many_members(pack: object) -> None:
    packed = b"".join(pack(part) for part in pieces(CONTENT, 500_000))  # type: ignore[operator]
    assert b"".join(decompressed(pieces(packed, 4096))) == CONTENT


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_cut_and_damaged_streams_are_refused(pack: object) -> None:
    packed = pack(CONTENT)  # type: ignore[operator]
    with pytest.raises(ImageError, match="cut short"):
        b"".join(decompressed([packed[:-20]]))
    broken = bytearray(packed)
    broken[len(packed) // 2] ^= 0xFF
    broken[-2] ^= 0xFF
    with pytest.raises(ImageError):
        b"".join(decompressed([bytes(broken)]))


def test_ours_is_gzip_and_always_the_same() -> None:
    first, second = (b"".join(gzipped(pieces(CONTENT, size))) for size in (1000, 99_999))
    assert first == second
    assert gzip.decompress(first) == CONTENT
    assert kind_of(first) == "gzip"


@pytest.mark.parametrize("data", [b"", b"\x1f", b"abc"])
def test_short_plain_streams(data: bytes) -> None:
    assert b"".join(decompressed([data])) == data


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_a_bomb_is_stopped_early(pack: object) -> None:
    packed = pack(bytes(64 << 20))  # type: ignore[operator]
    seen = 0
    with pytest.raises(ImageError, match="unpacks from"):
        for chunk in bounded([packed], decompressed, Limits(ratio=50, ratio_floor=1 << 20)):
            seen += len(chunk)
    assert seen < 8 << 20
