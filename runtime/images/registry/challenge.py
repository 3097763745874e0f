"""``WWW-Authenticate`` challenges (RFC 9110 §11.6.1) and the token a registry's authorization server gives for them. Parsing is pure."""

from __future__ import annotations

import re

from runtime.record import dataclass

_SCHEME = re.compile(r"(?:^|,)\s*(Basic|Bearer)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """``scheme`` is "basic" or "bearer"; the rest as the server said it."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""
    error: str = ""


def parse(header: str) -> Challenge | None:
    """The best challenge in a header: Bearer before Basic; None when there is neither."""
    found = [_one(header, match.group(1), match.end()) for match in _SCHEME.finditer(_outside_quotes(header))]
    return next((c for c in found if c.scheme == "bearer"), found[0] if found else None)


def _outside_quotes(header: str) -> str:
    """The header with quoted strings blanked, so that a word in them is no scheme."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: " " * len(m.group(0)), header)


def _one(header: str, scheme: str, start: int) -> Challenge:
    following = _SCHEME.search(_outside_quotes(header), start)
    end = following.start() if following else len(header)
    values = {m.group(1).lower(): m.group(2) if m.group(2) is not None else m.group(3) for m in _PARAMETER.finditer(header, start, end)}
    return Challenge(
        scheme=scheme.lower(), realm=values.get("realm", ""), service=values.get("service", ""), scope=values.get("scope", ""),
        error=values.get("error", ""),
    )  # fmt: skip
