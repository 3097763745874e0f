"""The sandbox on a machine that has cgroup v2 only and an older kernel (Debian's): the tests of ``tests/kernel/sandbox``, run inside a virtual machine."""

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
python3 -m pytest -q -p pytest_timeout -p no:cacheprovider --timeout 300 --tb=short tests/kernel/sandbox
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
    console = run(kernel, scratch, SANDBOX, 1700)
    print(console[-20000:])
    assert "EXIT 0" in console
    assert " passed" in console
