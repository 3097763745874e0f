"""What limits become in both versions of cgroups; hierarchies found; the device program, interpreted."""

from __future__ import annotations

import struct

import pytest

from runtime.cgroups_devices import program
from runtime.cgroups_hierarchies import Hierarchies, parse
from runtime.cgroups_limits import settings_v1, settings_v2, weight
from runtime.spec import DeviceRate, Resources

MIB = 1 << 20


def written(settings) -> dict[str, str]:
    return {s.file: s.value for s in settings}


def test_memory():
    limits = Resources(memory=64 * MIB, memory_reservation=32 * MIB, memory_swappiness=0)
    assert written(settings_v1(limits)) == {
        "memory.limit_in_bytes": str(64 * MIB),
        "memory.memsw.limit_in_bytes": str(128 * MIB),
        "memory.soft_limit_in_bytes": str(32 * MIB),
        "memory.swappiness": "0",
    }
    assert written(settings_v2(limits)) == {
        "memory.max": str(64 * MIB),
        "memory.swap.max": str(64 * MIB),
        "memory.low": str(32 * MIB),
    }
    assert written(settings_v2(Resources(memory=MIB, memory_swap=-1)))["memory.swap.max"] == "max"
    assert written(settings_v2(Resources(memory=MIB, memory_swap=MIB)))["memory.swap.max"] == "0"


def test_cpu():
    assert written(settings_v1(Resources(cpus=1.5, cpu_shares=512, cpuset="0-1"))) == {
        "cpu.shares": "512",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "150000",
        "cpuset.cpus": "0-1",
    }
    assert written(settings_v2(Resources(cpus=0.5, cpuset="1"))) == {"cpu.max": "50000 100000", "cpuset.cpus": "1"}
    assert written(settings_v2(Resources(cpu_period=50000))) == {"cpu.max": "max 50000"}
    assert written(settings_v2(Resources(cpu_quota=-1))) == {"cpu.max": "max 100000"}
    assert written(settings_v2(Resources(cpus=0.001)))["cpu.max"] == "1000 100000"  # the kernel's least quota is 1 ms


@pytest.mark.parametrize(("shares", "expected"), [(2, 1), (1024, 39), (262144, 10000), (0, 1), (999999, 10000)])
def test_weights(shares, expected):
    assert weight(shares) == expected


def test_pids():
    assert written(settings_v1(Resources(pids=5))) == written(settings_v2(Resources(pids=5))) == {"pids.max": "5"}
    assert written(settings_v2(Resources(pids=-1))) == {"pids.max": "max"}
    assert settings_v1(Resources()) == settings_v2(Resources()) == settings_v1(Resources(pids=0)) == []


def test_block_devices():
    limits = Resources(
        blkio_weight=500, device_read_bps=(DeviceRate(path="/dev/x", rate=1024),), device_write_iops=(DeviceRate(path="/dev/x", rate=7),)
    )
    one, two = written(settings_v1(limits, lambda path: "8:0")), [s.value for s in settings_v2(limits, lambda path: "8:0")]
    assert one == {"blkio.weight": "500", "blkio.throttle.read_bps_device": "8:0 1024", "blkio.throttle.write_iops_device": "8:0 7"}
    assert two == ["4950", "8:0 rbps=1024", "8:0 wiops=7"]


HYBRID = """24 18 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw
25 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
26 24 0:23 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
27 24 0:24 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
28 24 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
29 24 0:23 /deep /elsewhere/memory rw - cgroup cgroup rw,memory
"""
UNIFIED = "24 18 0:21 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def test_hierarchies():
    assert parse(HYBRID) == Hierarchies(
        {
            "cpu": "/sys/fs/cgroup/cpu,cpuacct",
            "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
            "memory": "/sys/fs/cgroup/memory",
            "name=systemd": "/sys/fs/cgroup/systemd",
        },
        "/sys/fs/cgroup/unified",
    )
    assert parse(UNIFIED) == Hierarchies({}, "/sys/fs/cgroup")
    assert parse(UNIFIED + "30 1 0:9 / /x rw - cgroup cgroup rw,name=systemd\n") == Hierarchies({}, "/sys/fs/cgroup")
    assert parse("") == Hierarchies({}, "")


def allowed(rules: list[str], kind: str, major: int, minor: int, access: str) -> bool:
    """Run the program as the kernel would: the context is type | access << 16, major, minor."""
    code = program(rules)
    context = ((2 if kind == "c" else 1) | sum({"m": 1, "r": 2, "w": 4}[a] for a in access) << 16, major, minor)
    registers, place = [0] * 11, 0
    while True:
        operation, names, offset, value = struct.unpack_from("=BBhi", code, place * 8)
        target, source = names & 15, names >> 4
        place += 1
        match operation:
            case 0x61:
                registers[target] = context[offset // 4]
            case 0xBC:
                registers[target] = registers[source]
            case 0x54:
                registers[target] &= value
            case 0x74:
                registers[target] >>= value
            case 0xB4:
                registers[target] = value
            case 0x55:
                place += offset if registers[target] != value else 0
            case 0x5D:
                place += offset if registers[target] != registers[source] else 0
            case 0x95:
                return bool(registers[0])


def test_the_device_program():
    rules = ["c 1:3 rwm", "c 136:* rw", "b *:* m", "c 10:229 r"]
    assert allowed(rules, "c", 1, 3, "rw")
    assert allowed(rules, "c", 136, 77, "w")
    assert allowed(rules, "b", 8, 0, "m")
    assert allowed(rules, "c", 10, 229, "r")
    assert not allowed(rules, "c", 10, 229, "w")
    assert not allowed(rules, "c", 10, 229, "rw")
    assert not allowed(rules, "c", 10, 200, "r")
    assert not allowed(rules, "c", 136, 77, "m")
    assert not allowed(rules, "b", 8, 0, "r")
    assert not allowed(rules, "b", 1, 3, "r")
    assert not allowed([], "c", 1, 3, "r")
    assert allowed(["a *:* rwm"], "b", 8, 1, "rwm")
    assert not allowed(["c 5:1"], "c", 5, 2, "r")
    assert allowed(["c 5:1"], "c", 5, 1, "rwm")
