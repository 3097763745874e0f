"""Commands killed at any moment: the next ``up`` and ``down`` work, and nothing is left of what was half-done."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, assert_nothing_left, rows

pytestmark = [pytest.mark.root, pytest.mark.slow]

COMMAND = """["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $$!; done"]"""
SERVICE = "  s{n}: {{image: 'busybox:latest', command: {command}, ports: ['80'], volumes: [/data]}}\n"
FIXED = """
  db: {{image: 'busybox:latest', command: {command}, networks: {{back: {{ipv4_address: 10.77.3.9}}}}, volumes: ['data:/data']}}
  app: {{image: 'busybox:latest', command: {command}, networks: [back], depends_on: [db], ports: ['18080:80']}}
  side: {{image: 'busybox:latest', command: {command}, network_mode: 'service:app'}}
networks: {{back: {{ipam: {{config: [{{subnet: 10.77.3.0/24}}]}}}}}}
volumes: {{data: {{}}}}
"""


def killed(pycompose: CommandLine, directory: Path, seconds: float, *arguments: str) -> None:
    process = pycompose.start(directory, *arguments)
    time.sleep(seconds)
    process.kill()
    process.communicate()


def killed_at_step(pycompose: CommandLine, directory: Path, step: int, *arguments: str) -> bool:
    """Whether the command was killed; one that has fewer steps ends by itself."""
    program = [sys.executable, str(Path(__file__).with_name("at_step.py")), str(step), *arguments]
    done = subprocess.run(program, cwd=directory, env=pycompose.environment, capture_output=True, timeout=120, check=False)
    return done.returncode == -signal.SIGKILL


def nothing_left(pycompose: CommandLine) -> None:
    assert_nothing_left(pycompose)
    assert not list((pycompose.root / "names").glob("demo-*"))
    assert not [p for kind in ("networks", "volumes") for p in (pycompose.root / kind).glob(".new-*")]


@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.5, 0.6, 0.8, 1.1])
def test_a_command_killed_halfway_harms_nobody(pycompose: CommandLine, stack: Callable[[str], Path], seconds: float) -> None:
    directory = stack("services:\n" + "".join(SERVICE.format(n=n, command=COMMAND) for n in range(8)))
    killed(pycompose, directory, seconds, "up", "-d")
    pycompose(directory, "up", "-d")
    assert len(pycompose(directory, "ps", "-q").out.split()) == 8
    killed(pycompose, directory, seconds, "down", "-v")
    pycompose(directory, "down", "-v")
    nothing_left(pycompose)


@pytest.mark.parametrize("step", [12, 35, 70])
def test_a_command_killed_between_two_steps_is_finished_by_the_next(
    pycompose: CommandLine, stack: Callable[[str], Path], step: int
) -> None:
    directory = stack("services:" + FIXED.format(command=COMMAND))
    assert killed_at_step(pycompose, directory, step, "up", "-d")
    pycompose(directory, "up", "-d")
    killed_at_step(pycompose, directory, step, "up", "-d", "--force-recreate")
    pycompose(directory, "up", "-d")
    assert {name: row.state for name, row in rows(pycompose, directory).items()} == dict.fromkeys(("db-1", "app-1", "side-1"), "running")
    killed_at_step(pycompose, directory, step, "down", "-v", "-t", "1")
    pycompose(directory, "down", "-v", "-t", "1")
    nothing_left(pycompose)


def test_what_a_killed_command_began_and_nobody_goes_on_with_is_cleared(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack("services:" + FIXED.format(command=COMMAND))
    for step in (8, 14, 21, 30, 42):
        killed_at_step(pycompose, directory, step, "up", "-d")
        pycompose(directory, "down", "-v", "-t", "0")
        nothing_left(pycompose)
