"""Limits as what is to be written into which file, for both versions. Pure.

Sources: the kernel's admin-guide/cgroup-v1 and cgroup-v2; conversions (shares to weight, memory plus swap) as the OCI runtime specification has them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from runtime.record import dataclass
from runtime.spec import DeviceRate, Resources

PERIOD = 100_000  # µs, the kernel's default


@dataclass(frozen=True, slots=True)
class Setting:
    """``value`` into ``file`` of ``controller``, because the user gave ``field``. One that is ``optional`` may be refused by older kernels."""

    controller: str
    file: str
    value: str
    field: str
    optional: bool = False


Number = Callable[[str], str]


def device_number(path: str) -> str:
    """``major:minor`` of a block device node."""
    number = os.stat(path).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def settings_v1(limits: Resources, number: Number = device_number) -> list[Setting]:
    """What to write for cgroup v1, in order."""
    return [*_memory_v1(limits), *_cpu_v1(limits), *_pids(limits), *_blkio_v1(limits, number)]


def settings_v2(limits: Resources, number: Number = device_number) -> list[Setting]:
    """What to write for cgroup v2, in order."""
    return [*_memory_v2(limits), *_cpu_v2(limits), *_pids(limits), *_io_v2(limits, number)]


def swap_limit(limits: Resources) -> int | None:
    """Memory plus swap: as given, else twice the memory (Docker's default); -1 is unlimited, None is not set."""
    if limits.memory_swap:
        return limits.memory_swap
    return limits.memory * 2 if limits.memory else None


def quota(limits: Resources) -> tuple[int | None, int | None]:
    """(quota, period) in µs; ``cpus`` wins over the two written separately."""
    if limits.cpus:
        return max(int(limits.cpus * PERIOD), 1000), PERIOD
    return limits.cpu_quota or None, limits.cpu_period or None


def weight(shares: int) -> int:
    """cpu.shares (2–262144) as cpu.weight (1–10000)."""
    return 1 + ((min(max(shares, 2), 262144) - 2) * 9999) // 262142


def _memory_v1(limits: Resources) -> list[Setting]:
    found = []
    swap = swap_limit(limits)
    if limits.memory:
        found.append(Setting("memory", "memory.limit_in_bytes", str(limits.memory), "memory"))
    if swap is not None:
        found.append(Setting("memory", "memory.memsw.limit_in_bytes", str(swap), "memory_swap", optional=not limits.memory_swap))
    if limits.memory_reservation:
        found.append(Setting("memory", "memory.soft_limit_in_bytes", str(limits.memory_reservation), "memory_reservation"))
    if limits.memory_swappiness is not None and limits.memory_swappiness >= 0:
        found.append(Setting("memory", "memory.swappiness", str(limits.memory_swappiness), "memory_swappiness"))
    if limits.oom_kill_disable:
        found.append(Setting("memory", "memory.oom_control", "1", "oom_kill_disable", optional=True))
    return found


def _cpu_v1(limits: Resources) -> list[Setting]:
    microseconds, period = quota(limits)
    rows = [
        ("cpu", "cpu.shares", limits.cpu_shares, "cpu_shares"),
        ("cpu", "cpu.cfs_period_us", period, "cpu_period"),
        ("cpu", "cpu.cfs_quota_us", microseconds, "cpus" if limits.cpus else "cpu_quota"),
        ("cpu", "cpu.rt_period_us", limits.cpu_rt_period, "cpu_rt_period"),
        ("cpu", "cpu.rt_runtime_us", limits.cpu_rt_runtime, "cpu_rt_runtime"),
        ("cpuset", "cpuset.cpus", limits.cpuset, "cpuset"),
    ]
    return [Setting(controller, file, str(value), field) for controller, file, value, field in rows if value]


def _pids(limits: Resources) -> list[Setting]:
    if limits.pids is None or limits.pids == 0:
        return []
    return [Setting("pids", "pids.max", str(limits.pids) if limits.pids > 0 else "max", "pids")]


def _rates(rows: Sequence[DeviceRate], number: Number, text: str) -> list[str]:
    return [text.format(number(r.path), r.rate) for r in rows]


def _blkio_v1(limits: Resources, number: Number) -> list[Setting]:
    found = []
    if limits.blkio_weight:
        found.append(Setting("blkio", "blkio.weight", str(limits.blkio_weight), "blkio_config.weight", optional=True))
    rows = (
        ("blkio.weight_device", limits.blkio_weight_device, "weight_device"),
        ("blkio.throttle.read_bps_device", limits.device_read_bps, "device_read_bps"),
        ("blkio.throttle.write_bps_device", limits.device_write_bps, "device_write_bps"),
        ("blkio.throttle.read_iops_device", limits.device_read_iops, "device_read_iops"),
        ("blkio.throttle.write_iops_device", limits.device_write_iops, "device_write_iops"),
    )
    for file, rates, field in rows:
        optional = field == "weight_device"
        found += [Setting("blkio", file, v, f"blkio_config.{field}", optional) for v in _rates(rates, number, "{} {}")]
    return found


def _memory_v2(limits: Resources) -> list[Setting]:
    found = []
    swap = swap_limit(limits)
    if limits.memory:
        found.append(Setting("memory", "memory.max", str(limits.memory), "memory"))
    if swap is not None:
        value = "max" if swap < 0 else str(swap - (limits.memory or 0))
        found.append(Setting("memory", "memory.swap.max", value, "memory_swap", optional=not limits.memory_swap))
    if limits.memory_reservation:
        found.append(Setting("memory", "memory.low", str(limits.memory_reservation), "memory_reservation"))
    return found


def _cpu_v2(limits: Resources) -> list[Setting]:
    found = []
    microseconds, period = quota(limits)
    if limits.cpu_shares:
        found.append(Setting("cpu", "cpu.weight", str(weight(limits.cpu_shares)), "cpu_shares"))
    if microseconds or period:
        text = str(microseconds) if microseconds and microseconds > 0 else "max"
        found.append(Setting("cpu", "cpu.max", f"{text} {period or PERIOD}", "cpus" if limits.cpus else "cpu_quota"))
    if limits.cpuset:
        found.append(Setting("cpuset", "cpuset.cpus", limits.cpuset, "cpuset"))
    return found


def _io_v2(limits: Resources, number: Number) -> list[Setting]:
    found = []
    if limits.blkio_weight:
        # io.weight runs from 1 to 10000, blkio.weight from 10 to 1000.
        scaled = 1 + (limits.blkio_weight - 10) * 9999 // 990
        found.append(Setting("io", "io.weight", str(scaled), "blkio_config.weight", optional=True))
    rows = (
        ("{} rbps={}", limits.device_read_bps, "device_read_bps"),
        ("{} wbps={}", limits.device_write_bps, "device_write_bps"),
        ("{} riops={}", limits.device_read_iops, "device_read_iops"),
        ("{} wiops={}", limits.device_write_iops, "device_write_iops"),
    )
    for text, rates, field in rows:
        found += [Setting("io", "io.max", v, f"blkio_config.{field}") for v in _rates(rates, number, text)]
    return found
