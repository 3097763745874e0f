"""How logs lie on disk: generations of raw output with an index of arrivals. In the worker, and in whoever reads logs.

``logs/stdout.<generation>`` and ``logs/stderr.<generation>`` hold what the container wrote, byte for byte; ``logs/index.<generation>`` holds one
record of 24 bytes per arrival: when (ns since the epoch), from which offset, how many bytes, of which stream, and whether it begins within a
line that the generation before began (CUT) or is the first of another run of the container, so that a line left open ends there (RUN).
Raw bytes are what splice(2) can move without ever holding them in a process that may be killed.
"""

from __future__ import annotations

import re
import struct

from runtime.errors import RuntimeFailure
from runtime.record import dataclass
from runtime.spec import LogSpec
from runtime.store import entries

RECORD = struct.Struct("<QQIBB2x")
CUT, RUN = 1, 2
STREAMS = ("stdout", "stderr")
DEFAULT_SIZE = 10_000_000
DEFAULT_FILES = 3
_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line without its newline; ``partial`` when none ended it: the next line of the stream goes on with it. Time in ns since the epoch."""

    time_ns: int
    stream: str
    text: bytes
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Rotation:
    """A generation ends at ``size`` bytes (0: never); ``files`` of them are kept."""

    size: int = DEFAULT_SIZE
    files: int = DEFAULT_FILES


def rotation(log: LogSpec) -> Rotation:
    """The rotation that the driver's options ask for (``max-size``, ``max-file``). Raises RuntimeFailure for values Docker refuses."""
    size, files = log.options.get("max-size"), log.options.get("max-file")
    return Rotation(DEFAULT_SIZE if size is None else _size(size), DEFAULT_FILES if files is None else _count(files))


def generations(directory: str) -> list[int]:
    """The generations on disk, oldest first."""
    return sorted(int(n[6:]) for n in entries(directory) if n.startswith("index.") and n[6:].isdigit())


def file_path(directory: str, kind: str, generation: int) -> str:
    """A file of a generation; ``kind`` is "index" or a stream."""
    return f"{directory}/{kind}.{generation}"


def _size(text: str) -> int:
    """Decimal units as Docker reads ``max-size``; -1 is without limit."""
    if text == "-1":
        return 0
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([bkmgt]?)i?b?", text.strip().lower())
    if match is None:
        raise RuntimeFailure(f'logging: invalid value for "max-size": {text!r}', hint="a number with k, m or g, such as 10m")
    return int(float(match[1]) * _UNITS[match[2]])


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise RuntimeFailure(f'logging: invalid value for "max-file": {text!r}', hint="a whole number, at least 1, in quotes")
    return int(text)
