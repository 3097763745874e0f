"""cgroups through the one interface, on whatever this host has: limits bite, are read back, counted, frozen, killed and removed."""

from __future__ import annotations

import os
import threading
import time

import pytest

from runtime import cgroups
from runtime.bundle import CgroupPlan
from runtime.cgroups_hierarchies import hierarchies
from runtime.errors import LaunchError
from runtime.spec import Resources
from tests.kernel.sandbox.conftest import drain

pytestmark = pytest.mark.root

GREEDY = "dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null"


def directories(path: str) -> list[str]:
    layout = hierarchies()
    roots = [*layout.controllers.values(), *([layout.unified] if layout.unified else [])]
    return [f"{root}/{path}" for root in roots if os.path.exists(f"{root}/{path}")]


def test_a_process_over_its_memory_is_killed_and_counted(host):
    found = host.bundle(GREEDY, resources=Resources(memory=24 << 20))
    container = host.start(found)
    assert container.wait() in (137, -9)
    assert cgroups.find(found.cgroup.path).oom_kills() >= 1


def test_memory_is_enough_without_the_limit(host):
    assert host.run(GREEDY).code == 0


def test_pid_1_killed_for_memory_ends_by_signal_9(host):
    found = host.bundle(("sh", "-c", "exec awk 'BEGIN { s = \"x\"; while (1) s = s s }'"), resources=Resources(memory=16 << 20))
    container = host.start(found)
    assert container.wait() == -9
    assert cgroups.find(found.cgroup.path).oom_kills() == 1


def test_a_fork_bomb_is_contained(host):
    found = host.bundle("i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo done", resources=Resources(pids=20))
    container = host.start(found)
    assert container.wait() != 0
    assert "can't fork" in drain(container.logs)


def test_limits_are_read_back(host):
    resources = Resources(memory=64 << 20, pids=50, cpus=0.5, cpu_shares=512, cpuset="0")
    found = host.bundle(("sleep", "60"), resources=resources)
    host.start(found)
    stats = cgroups.find(found.cgroup.path).stats()
    assert (stats.memory_limit, stats.pids_limit, stats.pids) == (64 << 20, 50, 1)
    assert 0 < stats.memory < 64 << 20
    assert stats.cpu_usage > 0


def test_cpu_quota_throttles(host):
    limited = host.bundle("while :; do :; done", resources=Resources(cpus=0.1))
    free = host.bundle("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    host.start(limited)
    assert host.start(free).wait(120) == 0
    deadline = time.monotonic() + 30
    while not cgroups.find(limited.cgroup.path).stats().throttled:
        assert time.monotonic() < deadline, "never throttled"
        time.sleep(0.05)
    assert cgroups.find(free.cgroup.path).stats().throttled == 0


def test_cpuset_pins(host):
    assert host.run("grep Cpus_allowed_list /proc/self/status", resources=Resources(cpuset="1")).out.split() == ["Cpus_allowed_list:", "1"]
    with pytest.raises(LaunchError, match="cpuset"):
        host.run("true", resources=Resources(cpuset="4000"))


def test_freeze_and_thaw(host):
    found = host.bundle("while :; do echo x; sleep 0.01; done")
    container = host.start(found)
    os.read(container.logs, 1)
    cgroup = cgroups.find(found.cgroup.path)
    cgroup.freeze()
    os.set_blocking(container.logs, False)
    while _read_ready(container.logs):
        pass
    time.sleep(0.1)
    assert not _read_ready(container.logs)
    cgroup.thaw()
    os.set_blocking(container.logs, True)
    assert os.read(container.logs, 1) == b"x"


def _read_ready(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def test_kill_reaches_all_even_when_frozen(host):
    found = host.bundle("for i in 1 2 3 4 5; do sleep 60 & done; echo ready; wait")
    container = host.start(found)
    os.read(container.logs, 10)
    cgroup = cgroups.find(found.cgroup.path)
    assert len(cgroup.pids()) == 6
    cgroup.freeze()
    cgroup.kill()
    assert container.wait(5) == -9
    assert cgroup.pids() == []


def test_kill_sends_other_signals_to_all(host):
    found = host.bundle("trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done")
    container = host.start(found)
    os.read(container.logs, 10)
    cgroups.find(found.cgroup.path).kill(10)
    assert container.wait(5) == 9


def test_remove_kills_what_is_left_and_takes_empty_parents_along():
    path = f"sandboxtest-{os.getpid()}/project/id"
    cgroup = cgroups.create(CgroupPlan(path=path))
    assert directories(path)
    pid = os.fork()
    if pid == 0:
        cgroups.join(cgroup.gates(born=False))
        threading.Event().wait()
    while not cgroup.pids():
        time.sleep(0.001)
    reaper = threading.Thread(target=os.waitpid, args=(pid, 0))
    reaper.start()
    cgroup.remove()
    reaper.join()
    assert directories(path) == directories(f"sandboxtest-{os.getpid()}") == []
    cgroup.remove()


def test_cgroups_made_inside_a_cgroup_are_removed_too():
    path = f"sandboxtest-{os.getpid()}/project/nested"
    cgroup = cgroups.create(CgroupPlan(path=path))
    for directory in directories(path):
        os.makedirs(f"{directory}/inner/most")
    cgroup.remove()
    assert directories(path) == []


def test_a_limit_of_a_controller_that_is_missing_is_named(host, monkeypatch):
    from runtime import cgroups_v1
    from runtime.cgroups_hierarchies import Hierarchies

    layout = hierarchies()
    lacking = {k: v for k, v in layout.controllers.items() if k != "pids"}
    cgroup = cgroups_v1.CgroupV1(f"sandboxtest-{os.getpid()}/p/lacking", Hierarchies(lacking or {"cpu": "/nonexistent"}, ""))
    if not lacking:
        return  # a v2 host has a single hierarchy, and refuses by the names in cgroup.controllers
    with pytest.raises(LaunchError, match="pids: this host has no cgroup controller 'pids'"):
        cgroup.make(Resources(pids=5), None)
    cgroup.remove()


def test_devices_are_refused_but_those_allowed(host):
    script = "mknod /tmp/k c 1 11; head -c1 /tmp/k >/dev/null && echo read; echo hi > /tmp/k && echo written"
    assert "read" not in host.run(script).out
    allowed = host.run(script, device_cgroup_rules=("c 1:11 w",)).out
    assert "written" in allowed
    assert "read\n" not in allowed


def test_the_smallest_memory_limit_still_starts(host):
    assert host.run("echo fine", resources=Resources(memory=6 << 20)).out == "fine\n"
