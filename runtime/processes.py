"""The processes of a container, as ``ps -ef`` would show them: read from its cgroup and /proc (proc(5)). In the command's process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from runtime.record import dataclass
from runtime.store import read_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process; ids are the host's, ``started`` is seconds since the epoch, ``cpu_seconds`` what it has used, ``command`` its arguments."""

    user: str
    pid: int
    parent: int
    cpu_percent: int
    started: float
    terminal: str
    cpu_seconds: float
    command: str


def processes(pids: Iterable[int]) -> tuple[Process, ...]:
    """Those of ``pids`` that still live, in order."""
    boot = _boot_time()
    found = (_process(pid, boot) for pid in sorted(set(pids)))
    return tuple(p for p in found if p is not None)


def descendants(root: int) -> tuple[int, ...]:
    """``root`` and everything below it, by parent links; for hosts whose cgroups cannot be read."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        stat = _stat(int(name)) if name.isdigit() else None
        if stat is not None:
            children.setdefault(int(stat[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return tuple(found)


def _process(pid: int, boot: float) -> Process | None:
    stat = _stat(pid)
    if stat is None:
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    started = boot + int(stat[19]) / ticks
    used = (int(stat[11]) + int(stat[12])) / ticks
    age = max(time.time() - started, 1.0)
    return Process(
        user=_user(pid),
        pid=pid,
        parent=int(stat[1]),
        cpu_percent=int(100 * used / age),
        started=started,
        terminal=_terminal(int(stat[4])),
        cpu_seconds=used,
        command=_command(pid),
    )


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the third on (state first); the name before them may hold anything, parentheses too."""
    try:
        text = (read_file(f"/proc/{pid}/stat") or b"").decode(errors="replace")
    except ProcessLookupError:
        return None
    return text[text.rindex(")") + 2 :].split() if text else None


def _command(pid: int) -> str:
    try:
        arguments = (read_file(f"/proc/{pid}/cmdline") or b"").rstrip(b"\0")
        return arguments.replace(b"\0", b" ").decode(errors="replace") or f"[{(read_file(f'/proc/{pid}/comm') or b'').decode().strip()}]"
    except ProcessLookupError:
        return ""


def _user(pid: int) -> str:
    import pwd

    try:
        uid = os.stat(f"/proc/{pid}").st_uid
        return pwd.getpwuid(uid).pw_name
    except FileNotFoundError:
        return "?"
    except KeyError:
        return str(uid)


def _terminal(device: int) -> str:
    if device == 0:
        return "?"
    major, minor = os.major(device), os.minor(device)
    return f"pts/{minor}" if 136 <= major <= 143 else f"tty{minor}"


def _boot_time() -> float:
    for line in (read_file("/proc/stat") or b"").splitlines():
        if line.startswith(b"btime "):
            return float(line.split()[1])
    return 0.0
