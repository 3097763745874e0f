"""Many services at once: fifty that reach each other by name, two projects side by side, and a supervisor that is killed while twenty write."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = [pytest.mark.root, pytest.mark.slow]
SLEEPER = "image: busybox:latest, init: true, command: sleep 300"


def fleet(count: int, service: str = SLEEPER) -> str:
    return "services:\n" + "".join(f"  s{n}: {{{service}}}\n" for n in range(count))


def test_fifty_find_each_other(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(fleet(50))
    began = pycompose(directory, "up", "-d", timeout=90)
    assert began.seconds < 60
    found = rows(pycompose, directory)
    assert len(found) == 50
    assert {r.state for r in found.values()} == {"running"}
    script = "for n in $(seq 0 49); do ping -c1 -W2 s$n >/dev/null || echo no s$n; done; echo done"
    for service in ("s0", "s49"):
        assert pycompose(directory, "exec", "-T", service, "sh", "-c", script, timeout=90).out == "done\n"
    again = pycompose(directory, "up", "-d")
    assert again.err.count("  Running\n") == 50
    pycompose(directory, "down", "-t", "0", timeout=90)
    assert rows(pycompose, directory) == {}


def test_two_projects_at_once(pycompose: CommandLine, stack: Callable[[str, str], Path]) -> None:
    directories = [stack(fleet(10), name) for name in ("left", "right")]

    def both(*arguments: str) -> None:
        running = [pycompose.start(d, *arguments) for d in directories]
        for process in running:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, out + err

    both("up", "-d")
    for directory in directories:
        found = rows(pycompose, directory)
        assert len(found) == 10
        assert {r.state for r in found.values()} == {"running"}
        script = "for n in $(seq 0 9); do ping -c1 -W2 s$n >/dev/null || echo no s$n; done"
        assert pycompose(directory, "exec", "-T", "s3", "sh", "-c", script).out == ""
    other = pycompose(directories[0], "exec", "-T", "s0", "ping", "-c1", "-W1", "right-s0-1", ok=False)
    assert other.code != 0  # each has a network of its own
    both("down", "-t", "0")


def test_no_line_is_lost_when_the_supervisor_is_killed(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    script = "i=0; while [ $$i -lt 400 ]; do echo line $$i; i=$$((i+1)); [ $$((i % 20)) = 0 ] && sleep 0.1; done; sleep 300"
    service = {"image": "busybox:latest", "init": True, "network_mode": "none", "command": ["sh", "-c", script]}
    directory = stack(json.dumps({"services": {f"s{n}": service for n in range(20)}}))
    pycompose(directory, "up", "-d")
    before = rows(pycompose, directory)
    killed = supervisors(pycompose)
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    pycompose(directory, "up", "-d")  # brings a supervisor back, and touches nothing
    assert rows(pycompose, directory) == before
    expected = [f"line {n}" for n in range(400)]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and pycompose(directory, "logs", "--no-log-prefix").out.count("line 399\n") < 20:
        time.sleep(0.5)
    for n in range(20):
        assert pycompose(directory, "logs", "--no-log-prefix", f"s{n}").out.splitlines() == expected
    pycompose(directory, "stop", "-t", "0")
    assert {r.state for r in rows(pycompose, directory).values()} == {"exited"}


def supervisors(pycompose: CommandLine) -> list[int]:
    """The processes that watch over the containers of this run directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if b"supervisor" in command and str(pycompose.run_directory).encode() in command:
            found.append(int(entry.name))
    return found
