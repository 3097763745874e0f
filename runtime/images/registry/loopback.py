"""Which hosts are this machine. Pure, and imports nothing."""

from __future__ import annotations


def is_loopback(netloc: str) -> bool:
    """Whether a host is this machine by name or address (Docker trusts plain HTTP there)."""
    name = netloc.rpartition(":")[0] if netloc.count(":") == 1 or (netloc.startswith("[") and "]:" in netloc) else netloc
    return name == "localhost" or name == "[::1]" or (name.startswith("127.") and name.replace(".", "").isdigit())
