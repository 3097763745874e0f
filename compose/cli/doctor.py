"""``doctor``: what this machine lacks for running containers, and what to do about it. Reads /proc and /sys, changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Literal

import click

from compose.cli import output, table
from compose.cli.group import Command
from runtime.record import dataclass
from runtime.store import Paths, paths, read_file

Grade = Literal["ok", "note", "missing"]
_OLDEST_KERNEL = (5, 8)
_GOOD_KERNEL = (5, 14)
_CONTROLLERS = ("memory", "cpu", "pids", "cpuset", "io")
_COLOURS: dict[Grade, str] = {"ok": output.GREEN, "note": output.YELLOW, "missing": output.RED}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: how it is, and what would help."""

    subject: str
    grade: Grade
    text: str
    hint: str = ""


@click.command(cls=Command)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Format the output.")
def doctor(form: str) -> int:
    """Say what this machine lacks for running containers."""
    findings = list(examine(paths()))
    if form == "json":
        output.data(table.as_json([{"subject": f.subject, "grade": f.grade, "text": f.text, "hint": f.hint} for f in findings]))
    else:
        for finding in findings:
            output.data(_line(finding))
    return 1 if any(f.grade == "missing" for f in findings) else 0


def examine(where: Paths) -> Iterator[Finding]:
    """Everything that is looked at, in the order of its importance."""
    yield _privileges()
    yield _kernel()
    yield from _namespaces()
    yield _overlay()
    yield _storage(where)
    yield _cgroups()
    yield _seccomp()
    yield from _network()


def _line(finding: Finding) -> str:
    mark = output.styled(f"{finding.grade:7}", _COLOURS[finding.grade], stream=sys.stdout)
    hint = f"\n{'':8}{'':14}-> {finding.hint}" if finding.hint else ""
    return f"{mark} {finding.subject:13} {finding.text}{hint}"


def _privileges() -> Finding:
    if os.geteuid() == 0:
        return Finding("privileges", "ok", "root")
    return Finding("privileges", "missing", "not root", "run as root (sudo pycompose …): containers without root come later")


def _kernel() -> Finding:
    release = os.uname().release
    numbers = tuple(int(p) for p in release.split("-")[0].split(".")[:2] if p.isdigit())
    if numbers < _OLDEST_KERNEL:
        return Finding("kernel", "missing", f"Linux {release}", "Linux 5.8 or newer is needed (openat2, clone3, the new mount calls)")
    if numbers < _GOOD_KERNEL:
        return Finding("kernel", "note", f"Linux {release}", "from 5.14 on, whole control groups can be killed at once")
    return Finding("kernel", "ok", f"Linux {release}")


def _namespaces() -> Iterator[Finding]:
    lacking = [n for n in ("mnt", "pid", "net", "uts", "ipc", "cgroup") if not os.path.exists(f"/proc/self/ns/{n}")]
    if lacking:
        yield Finding("namespaces", "missing", f"no {', '.join(lacking)} namespaces", "a kernel with CONFIG_NAMESPACES is needed")
    else:
        yield Finding("namespaces", "ok", "mnt pid net uts ipc cgroup")


def _overlay() -> Finding:
    if b"\toverlay\n" in (read_file("/proc/filesystems") or b""):
        return Finding("overlayfs", "ok", "available")
    if os.path.isdir(f"/lib/modules/{os.uname().release}/kernel/fs/overlayfs"):
        return Finding("overlayfs", "ok", "a module, loaded at first use")
    return Finding("overlayfs", "missing", "not in this kernel", "modprobe overlay")


def _storage(where: Paths) -> Finding:
    kind = _filesystem(where.root)
    if kind in ("overlay", "nfs", "nfs4", "fuse", "vfat"):
        return Finding(
            "storage",
            "missing",
            f"{where.root} is on {kind}",
            "overlayfs cannot write there: set PYCOMPOSE_ROOT to a directory on ext4, xfs or btrfs",
        )
    return Finding("storage", "ok", f"{where.root} on {kind}")


def _filesystem(path: str) -> str:
    """The type of the file system that holds ``path`` (proc(5), mounts)."""
    best, kind = "", "?"
    for line in (read_file("/proc/self/mounts") or b"").decode(errors="replace").splitlines():
        _, target, found = line.split()[:3]
        if f"{path}/".startswith(f"{target.rstrip('/')}/") and len(target) >= len(best):
            best, kind = target, found
    return kind


def _cgroups() -> Finding:
    unified = (read_file("/sys/fs/cgroup/cgroup.controllers") or b"").decode().split()
    if unified:
        lacking = [c for c in _CONTROLLERS if c not in unified]
        return _controllers("v2", lacking)
    legacy = [c for c in _CONTROLLERS if os.path.isdir(f"/sys/fs/cgroup/{'blkio' if c == 'io' else c}")]
    if legacy:
        return _controllers("v1", [c for c in _CONTROLLERS if c not in legacy])
    return Finding("cgroups", "missing", "none mounted", "mount -t cgroup2 none /sys/fs/cgroup")


def _controllers(version: str, lacking: list[str]) -> Finding:
    if lacking:
        return Finding("cgroups", "note", f"{version}, without {', '.join(lacking)}", "limits of these resources cannot be set")
    return Finding("cgroups", "ok", f"{version}: {', '.join(_CONTROLLERS)}")


def _seccomp() -> Finding:
    if read_file("/proc/sys/kernel/seccomp/actions_avail"):
        return Finding("seccomp", "ok", "available")
    return Finding("seccomp", "missing", "not in this kernel", "a kernel with CONFIG_SECCOMP_FILTER is needed")


def _network() -> Iterator[Finding]:
    from runtime import observe

    for check in observe.network_checks():
        yield Finding(check.name, "ok" if check.ok else "missing", check.detail, check.hint or "")
