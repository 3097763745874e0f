"""Where the cgroup hierarchies are mounted (/proc/self/mountinfo, proc(5)). In every process that touches cgroups."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from runtime.record import dataclass

_WANTED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "name=systemd")


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """v1 controllers by name → mount point (none on a v2 host), and the mount point of the v2 tree ("" when there is none)."""

    controllers: Mapping[str, str]
    unified: str


@cache
def hierarchies() -> Hierarchies:
    """This host's hierarchies; they do not change while it runs."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse(file.read())


def parse(mountinfo: str) -> Hierarchies:
    """The hierarchies in a mountinfo text; a v1 mount without any controller of ours (systemd's own) does not make a host v1."""
    controllers: dict[str, str] = {}
    unified = ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, mountpoint = right.split(" ", 1)[0], left.split(" ")[4]
        if kind == "cgroup2":
            unified = unified or mountpoint
        elif kind == "cgroup":
            found = [o for o in right.rsplit(" ", 1)[-1].split(",") if o in _WANTED]
            controllers.update({o: mountpoint for o in found if o not in controllers})
    if set(controllers) <= {"name=systemd"}:
        controllers = {}
    return Hierarchies(controllers, unified)
