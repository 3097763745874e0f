"""cgroup v1, and the hybrid layout with a v2 tree beside it: one directory per hierarchy (admin-guide/cgroup-v1)."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence

from runtime import cgroups_tree as tree
from runtime.cgroups_hierarchies import Hierarchies
from runtime.cgroups_limits import settings_v1
from runtime.cgroups_stats import Stats, read_number, read_table, read_text
from runtime.errors import LaunchError
from runtime.spec import Resources


class CgroupV1:
    """A cgroup with a directory in every v1 hierarchy and, on a hybrid host, in the v2 tree (for cgroup.kill and for exec)."""

    def __init__(self, path: str, layout: Hierarchies) -> None:
        self.path = path
        self._controllers = layout.controllers
        self._unified = layout.unified

    def make(self, resources: Resources, rules: Sequence[str] | None) -> None:
        """Make all directories; write limits, and device rules (None allows every device)."""
        cpuset = self._controllers.get("cpuset")
        for root in self._roots():
            if root != cpuset:
                tree.make(root, self.path)
            elif resources.cpuset or self._is_shared(root):
                # Nobody else needs this one: filling it costs more than all others together.
                tree.make(root, self.path)
                _inherit_cpuset(f"{root}/{self.path}")
        for setting in settings_v1(resources):
            if setting.controller not in self._controllers:
                raise tree.missing(setting)
            tree.apply(self._directory(setting.controller), setting)
        if rules is not None and "devices" in self._controllers:
            self._restrict_devices(rules)

    def _restrict_devices(self, rules: Sequence[str]) -> None:
        directory = self._directory("devices")
        tree.write(f"{directory}/devices.deny", "a")
        tree.write_all(f"{directory}/devices.allow", rules)

    def _roots(self) -> list[str]:
        roots = dict.fromkeys(self._controllers.values())
        return [*roots, *([self._unified] if self._unified else [])]

    def _directory(self, controller: str) -> str:
        return f"{self._controllers[controller]}/{self.path}"

    def mountpoints(self) -> list[str]:
        """The mount points of the v1 hierarchies that it is in."""
        return [root for root in dict.fromkeys(self._controllers.values()) if os.path.isdir(f"{root}/{self.path}")]

    def descriptor(self) -> int:
        """Of the v2 tree of a hybrid host, else -1."""
        try:
            return os.open(f"{self._unified}/{self.path}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if self._unified else -1
        except FileNotFoundError:
            return -1

    def _is_shared(self, root: str) -> bool:
        """Whether several controllers are mounted together there."""
        return list(self._controllers.values()).count(root) > 1

    def gates(self, *, born: bool) -> list[int]:
        """``tasks`` of every v1 hierarchy that it is in, and, unless ``born`` there, cgroup.procs of the v2 tree.

        A thread that moves itself by ``tasks`` takes no lock that a whole process's move takes; that lock waits for all processors, some
        milliseconds on an idle host and a hundred on a busy one (kernel/cgroup/cgroup.c, cgroup_procs_write_start).
        """
        gates = []
        for root in self._roots():
            if root == self._unified and born:
                continue
            with contextlib.suppress(FileNotFoundError):
                name = "cgroup.procs" if root == self._unified else "tasks"
                gates.append(os.open(f"{root}/{self.path}/{name}", os.O_WRONLY | os.O_CLOEXEC))
        if not gates:
            raise LaunchError("cgroup", f"the cgroup {self.path} is gone")
        return gates

    def add(self, pid: int) -> None:
        """Move a process into every hierarchy."""
        for root in self._roots():
            if os.path.isdir(f"{root}/{self.path}"):
                tree.write(f"{root}/{self.path}/cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Processes in it (as the pids or freezer hierarchy has them)."""
        return tree.pids(f"{self._any_root()}/{self.path}")

    def _any_root(self) -> str:
        return self._controllers.get("freezer") or self._controllers.get("pids") or self._roots()[0]

    def freeze(self) -> None:
        """Freeze, and wait until the kernel reports it done: a process in an uninterruptible call takes its time."""
        self._set_frozen("FROZEN")
        deadline = time.monotonic() + 1.0
        while read_text(f"{self._directory('freezer')}/freezer.state").strip() == "FREEZING" and time.monotonic() < deadline:
            time.sleep(0.001)

    def thaw(self) -> None:
        """Thaw."""
        self._set_frozen("THAWED")

    def _set_frozen(self, state: str) -> None:
        tree.write(f"{self._directory('freezer')}/freezer.state", state)

    def kill(self, number: int = 9) -> None:
        """Signal all; SIGKILL by cgroup.kill of the v2 tree, or in a frozen cgroup, so that no fork escapes."""
        if number != 9:
            tree.signal_all(self.pids(), number)
            return
        try:
            tree.write(f"{self._unified}/{self.path}/cgroup.kill", "1")
            self.thaw()
        except OSError:
            self._kill_frozen()

    def _kill_frozen(self) -> None:
        if not os.path.isdir(f"{self._any_root()}/{self.path}"):
            return
        if "freezer" in self._controllers:
            self.freeze()
        tree.signal_all(self.pids(), 9)
        if "freezer" in self._controllers:
            self.thaw()

    def stats(self) -> Stats:
        """Memory, CPU, pids and block I/O."""
        memory, table = self._file("memory", "memory."), self._table("memory", "memory.stat")
        usage = read_number(f"{memory}usage_in_bytes")
        swapped = read_number(f"{memory}memsw.usage_in_bytes")
        done = _service_bytes(read_text(self._file("blkio", "blkio.throttle.io_service_bytes")))
        return Stats(
            memory=max(usage - table.get("total_inactive_file", 0), 0),
            memory_limit=read_number(f"{memory}limit_in_bytes"),
            memory_peak=read_number(f"{memory}max_usage_in_bytes"),
            swap=max(swapped - usage, 0),
            cpu_usage=read_number(self._file("cpuacct", "cpuacct.usage")),
            throttled=self._table("cpu", "cpu.stat").get("throttled_time", 0),
            pids=read_number(self._file("pids", "pids.current")),
            pids_limit=read_number(self._file("pids", "pids.max")),
            read_bytes=done.get("Read", 0),
            write_bytes=done.get("Write", 0),
            oom_kills=self.oom_kills(),
        )

    def oom_kills(self) -> int:
        """``oom_kill`` of memory.oom_control (Linux ≥ 4.13)."""
        return self._table("memory", "memory.oom_control").get("oom_kill", 0)

    def _file(self, controller: str, name: str) -> str:
        return f"{self._controllers.get(controller, '')}/{self.path}/{name}"

    def _table(self, controller: str, name: str) -> dict[str, int]:
        return read_table(self._file(controller, name))

    def remove(self) -> None:
        """Kill what is left and remove every directory."""
        if os.path.isdir(f"{self._any_root()}/{self.path}") and self.pids():
            self.kill()
        for root in self._roots():
            tree.remove(root, self.path)


def _inherit_cpuset(directory: str) -> None:
    """A new v1 cpuset is empty and takes no process until it has CPUs and memory nodes: give it its parent's."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        _inherited(directory, name)


def _inherited(directory: str, name: str) -> str:
    """The set of ``directory``, taken over from its parent first if need be: a neighbour may have made the parent and not filled it yet."""
    own = read_text(f"{directory}/{name}").strip()
    if not own:
        own = _inherited(os.path.dirname(directory), name)
        tree.write(f"{directory}/{name}", own)
    return own


def _service_bytes(text: str) -> dict[str, int]:
    """Sums of ``major:minor Read|Write bytes`` lines by operation."""
    sums: dict[str, int] = {}
    for row in (line.split() for line in text.splitlines()):
        if len(row) == 3:
            sums[row[1]] = sums.get(row[1], 0) + int(row[2])
    return sums
