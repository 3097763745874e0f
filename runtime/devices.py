"""Device nodes of a container, and the device rules of its cgroup. In the supervisor, the builder and the container child."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from runtime.errors import LaunchError
from runtime.record import dataclass
from runtime.spec import DeviceSpec

# (name, major, minor) of the nodes that every container has in /dev.
STANDARD = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))

# What every container may use (as the OCI runtime specification's defaults): mknod of anything, the standard nodes, and terminals.
_DEFAULT_RULES = (
    "c *:* m",
    "b *:* m",
    *(f"c {major}:{minor} rwm" for _, major, minor in STANDARD),
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A device node to be made at ``target``; ``mode`` holds type and permission bits."""

    target: str
    mode: int
    major: int
    minor: int
    uid: int = 0
    gid: int = 0
    permissions: str = "rwm"

    @property
    def rule(self) -> str:
        """As devices.allow wants it."""
        return f"{'b' if stat.S_ISBLK(self.mode) else 'c'} {self.major}:{self.minor} {self.permissions}"


def nodes(devices: Sequence[DeviceSpec]) -> list[Node]:
    """The nodes asked for; a directory stands for all device nodes in it. Raises LaunchError when a source is missing or is no device."""
    return [node for device in devices for node in _nodes(device)]


def host_nodes() -> list[Node]:
    """All device nodes of the host's /dev, for a privileged container; terminals and shared memory are the container's own."""
    skip = {"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/console", "/dev/ptmx"}
    return _walk("/dev", "/dev", "rwm", skip)


def cgroup_rules(devices: Sequence[DeviceSpec], extra: Sequence[str]) -> list[str]:
    """The allow-list of a container's cgroup."""
    return [*_DEFAULT_RULES, *(n.rule for n in nodes(devices)), *extra]


def _nodes(device: DeviceSpec) -> list[Node]:
    try:
        status = os.stat(device.source)
    except OSError as error:
        raise _refused(device, f"{device.source}: {error.strerror}") from None
    if stat.S_ISDIR(status.st_mode):
        found = _walk(device.source, device.target, device.permissions, set())
        if not found:
            raise _refused(device, f"{device.source}: no device nodes in this directory")
        return found
    if not _is_device(status.st_mode):
        raise _refused(device, f"{device.source}: not a device node")
    return [_node(status, device.target, device.permissions)]


def _refused(device: DeviceSpec, message: str) -> LaunchError:
    return LaunchError("devices", f"{device.origin or 'devices'}: {message}")


def _is_device(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _node(status: os.stat_result, target: str, permissions: str) -> Node:
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return Node(target=target, mode=status.st_mode, major=major, minor=minor, uid=status.st_uid, gid=status.st_gid, permissions=permissions)


def _walk(source: str, target: str, permissions: str, skip: set[str]) -> list[Node]:
    found: list[Node] = []
    for directory, names, files in os.walk(source):
        names[:] = [n for n in names if f"{directory}/{n}" not in skip]
        for path in (f"{directory}/{n}" for n in files if f"{directory}/{n}" not in skip):
            status = os.lstat(path)
            if _is_device(status.st_mode):
                found.append(_node(status, target + path[len(source) :], permissions))
    return found
