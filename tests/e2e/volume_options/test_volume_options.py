"""Volumes of the local driver with options: a directory elsewhere, a tmpfs shared by two services; gone with the last, refused when impossible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, assert_nothing_left

pytestmark = [pytest.mark.root]

TEXT = """
services:
  a: {{image: 'busybox:latest', command: [sleep, '1000'], volumes: ['there:/there', 'memory:/memory'], stop_signal: SIGKILL}}
  b: {{image: 'busybox:latest', command: [sleep, '1000'], volumes: ['memory:/memory'], stop_signal: SIGKILL}}
volumes:
  there: {{driver: local, driver_opts: {{type: none, o: bind, device: {device}}}}}
  memory: {{driver_opts: {{type: tmpfs, device: tmpfs, o: 'size=10m,uid=1000'}}}}
"""


def test_a_directory_elsewhere_and_a_shared_tmpfs(pycompose: CommandLine, stack: Callable[[str], Path], tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.mkdir()
    (device / "file").write_text("of the host\n")
    directory = stack(TEXT.format(device=device))
    pycompose(directory, "up", "-d")
    assert pycompose(directory, "exec", "-T", "a", "cat", "/there/file").out == "of the host\n"
    pycompose(directory, "exec", "-T", "a", "touch", "/memory/shared")
    assert pycompose(directory, "exec", "-T", "b", "sh", "-c", "ls /memory; stat -c %u /memory; stat -f -c %T /memory").out.split() == [
        "shared",
        "1000",
        "tmpfs",
    ]
    pycompose(directory, "down", "-v")
    assert (device / "file").exists()
    assert_nothing_left(pycompose)


def test_what_cannot_be_mounted_is_refused_by_name(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(TEXT.format(device="/no/such/place"))
    refused = pycompose(directory, "up", "-d", ok=False)
    assert refused.code == 1
    assert "volume demo_there: device /no/such/place does not exist" in refused.err
