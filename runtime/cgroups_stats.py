"""What a cgroup uses: numbers, and reading them out of the kernel's small files. In the supervisor and reading commands."""

from __future__ import annotations

from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Bytes, nanoseconds and counts; a limit of 0 is "none".

    ``memory`` leaves out file pages that are easily given back, as ``docker stats`` does. ``throttled`` is time spent waiting for CPU quota.
    """

    memory: int = 0
    memory_limit: int = 0
    memory_peak: int = 0
    swap: int = 0
    cpu_usage: int = 0
    throttled: int = 0
    pids: int = 0
    pids_limit: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    oom_kills: int = 0


def read_text(path: str) -> str:
    """The file's text, "" when it is not there."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def read_number(path: str) -> int:
    """A file with one number; "max", absurdly large ("no limit" of v1) or missing is 0."""
    text = read_text(path).strip()
    number = int(text) if text.isdigit() else 0
    return number if number < 1 << 62 else 0


def read_table(path: str) -> dict[str, int]:
    """A file of ``key value`` lines."""
    rows = (line.split() for line in read_text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
