"""The order of keys: by code point in JSON, and in YAML so that ``a2`` comes before ``a10``, as Go's YAML library sorts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PIECES = re.compile(r"[0-9]+|[^0-9]")
_KEYS: dict[str, list[tuple[int, int, int]]] = {}


def ordered(keys: Iterable[str], json: bool = False) -> list[str]:
    """``keys`` sorted."""
    names = list(keys)
    if len(names) < 2:
        return names
    return sorted(names) if json else sorted(names, key=_natural)


def _natural(key: str) -> list[tuple[int, int, int]]:
    """Signs before digits before letters, but letters before signs behind a number; numbers by value, then by length."""
    known = _KEYS.get(key)
    if known is None:
        known = []
        after_digits = False
        for piece in _PIECES.findall(key):
            if piece[0].isdigit():
                known.append((1, int(piece), len(piece)))
                after_digits = True
            else:
                letter = piece.isalpha()
                known.append((-1 if after_digits and letter else 2 if letter else 0, ord(piece), 0))
                after_digits = False
        _KEYS[key] = known
    return known
