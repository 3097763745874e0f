"""Commands killed at any moment: the next ``up`` and ``down`` work, and nothing is left of what was half-done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, assert_nothing_left

pytestmark = [pytest.mark.root, pytest.mark.slow]

COMMAND = """["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $$!; done"]"""
SERVICE = "  s{n}: {{image: 'busybox:latest', command: {command}, ports: ['80'], volumes: [/data]}}\n"


def killed(pycompose: CommandLine, directory: Path, seconds: float, *arguments: str) -> None:
    process = pycompose.start(directory, *arguments)
    time.sleep(seconds)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("seconds", [0.2, 1.1])
def test_a_command_killed_halfway_harms_nobody(pycompose: CommandLine, stack: Callable[[str], Path], seconds: float) -> None:
    directory = stack("services:\n" + "".join(SERVICE.format(n=n, command=COMMAND) for n in range(8)))
    killed(pycompose, directory, seconds, "up", "-d")
    pycompose(directory, "up", "-d")
    assert len(pycompose(directory, "ps", "-q").out.split()) == 8
    killed(pycompose, directory, seconds, "down", "-v")
    pycompose(directory, "down", "-v")
    assert_nothing_left(pycompose)
    assert not list((pycompose.root / "names").glob("demo-s*"))
