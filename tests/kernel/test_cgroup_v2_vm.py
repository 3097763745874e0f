"""The sandbox on a machine that has cgroup v2 only and an older kernel (Debian's): the cgroup tests, and a whole project, inside a virtual machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from tests.kernel.vm.boot import Kernel, boot, build_disk, build_initramfs, find_kernel

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(1900)]

SANDBOX = """
test "$(grep -c cgroup2 /proc/mounts)" = 1 || exit 90
grep -q ' cgroup ' /proc/mounts && exit 91
cat /sys/fs/cgroup/cgroup.controllers
python3 -m pytest -q -p pytest_timeout -p no:cacheprovider --timeout 300 --tb=short tests/kernel/sandbox/test_sandbox_cgroups.py
"""


# A whole project: image, network, limits, exec, an OOM, and nothing left. Lines that begin with a word in capitals are looked at below.
PROJECT = r"""
export PYTHONPATH=/repository PYCOMPOSE_ROOT=/var/lib/pycompose PYCOMPOSE_RUN=/run/pycompose
pycompose() { python3 -c 'from compose.cli import main; main()' -f /root/compose.yaml "$@"; }
mkdir -p /root/image/bin /root/image/etc /root/image/tmp
cp /bin/busybox /root/image/bin/
for a in sh sleep cat dd echo httpd wget; do ln -s busybox /root/image/bin/$a; done
echo 'root:x:0:0:root:/root:/bin/sh' > /root/image/etc/passwd
tar -C /root/image -cf /root/image.tar .
cat > /root/compose.yaml <<'EOF'
name: machine
services:
  web:
    image: machine/busybox
    command: ["sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]
    mem_limit: 64m
    pids_limit: 30
    cpus: 0.5
    init: true
    healthcheck: {test: ["CMD", "wget", "-qO-", "127.0.0.1"], interval: 5s, timeout: 30s, start_period: 60s}
  greedy:
    image: machine/busybox
    command: ["dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=60"]
    mem_limit: 16m
EOF
pycompose image import /root/image.tar machine/busybox || exit 80
pycompose up -d || exit 81
echo "LIMITS $(pycompose exec -T web cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max /proc/self/cgroup | tr '\n' ' ')"
echo "NAMED $(pycompose exec -T web wget -qO- http://web/)"
for i in 1 2 3 4 5 6 7 8 9; do pycompose ps greedy -a --format json | grep -q exited && break; sleep 1; done
echo "GREEDY $(pycompose ps -a greedy --format '{{.ExitCode}}')"
pycompose down || exit 82
echo "LEFT cgroups=$(find /sys/fs/cgroup -type d -path '*pycompose*' | wc -l) mounts=$(grep -c pycompose /proc/mounts) links=$(ip -o link | grep -vc ' lo:')"
"""


@pytest.fixture(scope="module")
def scratch() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="machine-", dir="/var/tmp")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def kernel(scratch: str) -> Kernel:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.fail("no qemu: apt install qemu-system-x86")
    found = find_kernel(scratch)
    build_initramfs(found, f"{scratch}/initramfs")
    return found


def run(kernel: Kernel, scratch: str, job: str, seconds: float) -> str:
    disk = f"{scratch}/disk.img"
    build_disk(scratch, disk, job)
    try:
        return boot(kernel, f"{scratch}/initramfs", disk, seconds=seconds)
    finally:
        os.remove(disk)


def test_the_sandbox_on_cgroup_v2_alone(kernel, scratch):
    console = run(kernel, scratch, SANDBOX, 900)
    print(console[-20000:])
    assert "EXIT 0" in console
    assert " passed" in console


def test_a_project_on_cgroup_v2_alone(kernel, scratch):
    console = run(kernel, scratch, PROJECT, 900)
    print(console[-20000:])
    assert "EXIT 0" in console
    assert "LIMITS 67108864 30 50000 100000 0::/ " in console
    assert "NAMED hello" in console
    assert "GREEDY 137" in console
    assert "LEFT cgroups=0 mounts=0 links=0" in console
