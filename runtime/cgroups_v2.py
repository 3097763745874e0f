"""cgroup v2: one directory for all controllers (admin-guide/cgroup-v2)."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Sequence

from runtime import cgroups_tree as tree
from runtime.cgroups_limits import settings_v2
from runtime.cgroups_stats import Stats, read_number, read_table, read_text
from runtime.errors import LaunchError
from runtime.spec import Resources

_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


class CgroupV2:
    """A cgroup of the unified hierarchy mounted at ``root``."""

    def __init__(self, path: str, root: str) -> None:
        self.path = path
        self._root = root
        self._directory = f"{root}/{path}"

    def make(self, resources: Resources, rules: Sequence[str] | None) -> None:
        """Make the directory with its controllers; write limits, and attach a device program (None allows every device)."""
        if not self._root:
            raise LaunchError("cgroup", "no cgroup hierarchy is mounted", hint="mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        tree.make(self._root, self.path)
        parts = self.path.split("/")[:-1]
        for depth in range(len(parts) + 1):
            _enable_controllers("/".join([self._root, *parts[:depth]]))
        available = read_text(f"{self._directory}/cgroup.controllers").split()
        for setting in settings_v2(resources):
            if setting.controller not in available:
                raise tree.missing(setting)
            tree.apply(self._directory, setting)
        if rules is not None:
            self._restrict_devices(rules)

    def _restrict_devices(self, rules: Sequence[str]) -> None:
        from runtime.cgroups_devices import attach

        attach(self._directory, rules)

    def mountpoints(self) -> list[str]:
        """The one mount point."""
        return [self._root]

    def descriptor(self) -> int:
        """For CLONE_INTO_CGROUP. Raises LaunchError when the cgroup is gone."""
        return _opened(self._leaf(), os.O_PATH | os.O_DIRECTORY)

    def gates(self, *, born: bool) -> list[int]:
        """Its cgroup.procs, unless the process is born there."""
        return [] if born else [_opened(f"{self._leaf()}/cgroup.procs", os.O_WRONLY)]

    def _leaf(self) -> str:
        """Where processes may be: the first one without children of its own, when an init in the container has divided it (no internal processes)."""
        directory = self._directory
        while read_text(f"{directory}/cgroup.subtree_control").strip():
            directory = next(e.path for e in sorted(os.scandir(directory), key=lambda e: e.name) if e.is_dir())
        return directory

    def add(self, pid: int) -> None:
        """Move a process."""
        tree.write(f"{self._directory}/cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Processes in it and below."""
        return tree.pids(self._directory)

    def freeze(self) -> None:
        """Freeze, and wait until cgroup.events says so."""
        tree.write(f"{self._directory}/cgroup.freeze", "1")
        deadline = time.monotonic() + 1.0
        while not read_table(f"{self._directory}/cgroup.events").get("frozen") and time.monotonic() < deadline:
            time.sleep(0.001)

    def thaw(self) -> None:
        """Thaw."""
        tree.write(f"{self._directory}/cgroup.freeze", "0")

    def kill(self, number: int = 9) -> None:
        """Signal all; SIGKILL by cgroup.kill (Linux ≥ 5.14), which no fork escapes."""
        if number != 9:
            tree.signal_all(self.pids(), number)
            return
        try:
            tree.write(f"{self._directory}/cgroup.kill", "1")
        except FileNotFoundError:
            self._kill_frozen()

    def _kill_frozen(self) -> None:
        if os.path.isdir(self._directory):
            self.freeze()
            tree.signal_all(self.pids(), 9)
            self.thaw()

    def stats(self) -> Stats:
        """Memory, CPU, pids and block I/O."""
        table, cpu = self._table("memory.stat"), self._table("cpu.stat")
        read, written = _io_bytes(read_text(f"{self._directory}/io.stat"))
        return Stats(
            memory=max(self._number("memory.current") - table.get("inactive_file", 0), 0),
            memory_limit=self._number("memory.max"),
            memory_peak=self._number("memory.peak"),
            swap=self._number("memory.swap.current"),
            cpu_usage=cpu.get("usage_usec", 0) * 1000,
            throttled=cpu.get("throttled_usec", 0) * 1000,
            pids=self._number("pids.current"),
            pids_limit=self._number("pids.max"),
            read_bytes=read,
            write_bytes=written,
            oom_kills=self.oom_kills(),
        )

    def oom_kills(self) -> int:
        """``oom_kill`` of memory.events."""
        return self._table("memory.events").get("oom_kill", 0)

    def _number(self, name: str) -> int:
        return read_number(f"{self._directory}/{name}")

    def _table(self, name: str) -> dict[str, int]:
        return read_table(f"{self._directory}/{name}")

    def remove(self) -> None:
        """Kill what is left and remove it."""
        if os.path.isdir(self._directory) and self.pids():
            self.kill()
        tree.remove(self._root, self.path)


def _opened(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        raise LaunchError("cgroup", f"the cgroup {path} is gone") from None


def _enable_controllers(directory: str) -> None:
    """Give a cgroup's children the controllers that it has itself. A parent with processes of its own refuses (EBUSY): then limits fail by name."""
    available = read_text(f"{directory}/cgroup.controllers").split()
    enabled = read_text(f"{directory}/cgroup.subtree_control").split()
    for name in (c for c in _CONTROLLERS if c in available and c not in enabled):
        try:
            tree.write(f"{directory}/cgroup.subtree_control", f"+{name}")
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOENT, errno.EOPNOTSUPP):
                raise LaunchError("cgroup", f"{directory}: +{name}: {error.strerror}", errno=error.errno or 0) from None


def _io_bytes(text: str) -> tuple[int, int]:
    """Sums of rbytes and wbytes over all devices of io.stat."""
    read = written = 0
    for word in text.split():
        key, _, value = word.partition("=")
        with contextlib.suppress(ValueError):
            read += int(value) if key == "rbytes" else 0
            written += int(value) if key == "wbytes" else 0
    return read, written
