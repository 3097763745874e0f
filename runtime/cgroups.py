"""Control groups behind one interface: v2, v1 and the hybrid of both (cgroups(7)). In the supervisor, the container child and reading commands.

``create`` makes one with its limits, ``find`` addresses an existing one. A path such as ``pycompose/<project>/<id>`` is below every hierarchy's root.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from runtime.cgroups_hierarchies import hierarchies
from runtime.cgroups_stats import Stats
from runtime.cgroups_v1 import CgroupV1
from runtime.cgroups_v2 import CgroupV2
from runtime.devices import cgroup_rules

if TYPE_CHECKING:
    from runtime.bundle import CgroupPlan
    from runtime.spec import DeviceSpec, Resources


class Cgroup(Protocol):
    """One container's cgroup, whatever the version."""

    path: str

    def make(self, resources: Resources, rules: Sequence[str] | None) -> None:
        """Make its directories with limits and device rules (None allows every device)."""

    def mountpoints(self) -> list[str]:
        """The mount points of the hierarchies that it is in."""

    def descriptor(self) -> int:
        """A descriptor of its v2 directory, for CLONE_INTO_CGROUP, or -1 where there is none; the caller closes it."""

    def gates(self, *, born: bool) -> list[int]:
        """Descriptors that take their single-threaded writer in when 0 is written to them; the caller closes them.

        ``born``: without the one that a process made by CLONE_INTO_CGROUP needs not.
        """

    def add(self, pid: int) -> None:
        """Move a process into it."""

    def pids(self) -> list[int]:
        """Its processes, as the caller's pid namespace numbers them; those of cgroups below it too."""

    def freeze(self) -> None:
        """Stop all of its processes; returns when they are stopped (at most a second is waited)."""

    def thaw(self) -> None:
        """Let them go on."""

    def kill(self, number: int = 9) -> None:
        """Send a signal to all of its processes; SIGKILL misses none, not even those that are just being forked."""

    def stats(self) -> Stats:
        """What it uses now; zeros where the kernel does not count."""

    def oom_kills(self) -> int:
        """How many of its processes the kernel killed for want of memory."""

    def remove(self) -> None:
        """Kill what is left in it and remove it, and its parents when they are empty; already gone is success."""


def join(gates: Sequence[int]) -> None:
    """Move the calling process through the ``gates`` of a cgroup, and close them."""
    for gate in gates:
        os.write(gate, b"0")
        os.close(gate)


def create(plan: CgroupPlan, devices: Sequence[DeviceSpec] = ()) -> Cgroup:
    """Make the cgroup with its limits and device rules. Raises LaunchError when the host cannot set a limit that was asked for."""
    cgroup = _cgroup(plan.path)
    cgroup.make(plan.resources, None if plan.all_devices else cgroup_rules(devices, plan.device_rules))
    return cgroup


def find(path: str) -> Cgroup:
    """The cgroup at ``path``; it need not exist."""
    return _cgroup(path)


def _cgroup(path: str) -> Cgroup:
    layout = hierarchies()
    if layout.controllers:
        return CgroupV1(path, layout)
    return CgroupV2(path, layout.unified)
