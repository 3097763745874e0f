"""The power fails while images are loaded: on a file system of the test's own, which forgets everything that was not on the disk yet.

ext4's shutdown (FS_IOC_SHUTDOWN without flushing the journal) is what file systems are tested with themselves: it drops dirty pages and the
journal's tail, as a power cut does, and the next mount replays what had reached the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.images import ImageStore
from runtime.store import Paths, entries

from .conftest import make_image

pytestmark = [pytest.mark.root, pytest.mark.slow]
ROOT = Path(__file__).parents[3]
FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
WITHOUT_FLUSHING = 2
ROUNDS, EACH = 8, 4

BODY = """
import sys
from runtime.images import ImageStore
from runtime.store import Paths
root, archives = sys.argv[1:3]
store = ImageStore(Paths(root, root + "-run"))
print("ready", flush=True)
for name in sys.argv[3:]:
    store.load(open(f"{archives}/{name}.tar", "rb"))
    print(name, flush=True)
    store.gc()
"""


class Disk:
    """A file system whose power can fail."""

    def __init__(self, home: Path) -> None:
        self._file, self.place = home / "disk", home / "mounted"
        self.place.mkdir()
        with self._file.open("wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", self._file], check=True)
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self._file, self.place], check=True)

    def unmount(self) -> None:
        deadline = time.monotonic() + 10
        while subprocess.run(["umount", self.place], capture_output=True, check=False).returncode and time.monotonic() < deadline:
            time.sleep(0.05)

    def fail(self) -> None:
        descriptor = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING))
        finally:
            os.close(descriptor)


@pytest.fixture
def disk(scratch: Path) -> Iterator[Disk]:
    found = Disk(scratch)
    yield found
    with contextlib.suppress(OSError):
        found.unmount()


def after_reboot(disk: Disk) -> ImageStore:
    """The store as the next boot finds it: nothing that was written since the last one is trusted for that."""
    store = ImageStore(Paths(f"{disk.place}/root", f"{disk.place}/run"))
    store.content._boot = f"boot-{time.monotonic_ns()}"
    return store


def archives(source: ImageStore, folder: Path) -> Iterator[list[str]]:
    """Names of images to be loaded, some for every round; their archives lie in ``folder``."""
    for number in range(ROUNDS):
        names = [str(number * EACH + n) for n in range(EACH)]
        for name in names:
            make_image(source, f"image:{name}", seed=int(name), size=3_000_000)
            with (folder / f"{name}.tar").open("wb") as file:
                source.save([f"image:{name}"], file)
        yield names


def test_what_was_said_to_be_there_is_there(disk: Disk, scratch: Path, new_store: Callable[..., ImageStore]) -> None:
    moments, told, cut = random.Random(7), list[str](), 0
    for names in archives(new_store(), scratch):
        command = [sys.executable, "-c", BODY, f"{disk.place}/root", str(scratch), *names]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.4))
        disk.fail()
        told += process.communicate(timeout=60)[0].split()
        cut += process.returncode != 0
        disk.unmount()
        disk.mount()
        assert_whole(after_reboot(disk), {f"image:{name}" for name in told})
    assert cut >= ROUNDS // 2, "the power mostly failed while something was written"


def assert_whole(store: ImageStore, told: set[str]) -> None:
    """What was told to be there is, to the byte; what was being written is there whole, or not at all and costs no room."""
    there = {r for image in store.list() for r in image.references if store.layers(image.id)}
    assert told <= there
    store.gc()
    assert store.verify() == ()
    assert entries(f"{store.root}/tmp") == []
