"""``up`` that stays: whose lines go where, how it ends, and with which code."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
BOX = "image: busybox:latest, network_mode: none"
TALKING = f"""
services:
  a: {{{BOX}, command: [sh, -c, "echo out; echo err >&2; sleep 0.3; printf last"]}}
  longer: {{{BOX}, command: [sh, -c, "sleep 0.2; echo longer; exit 3"]}}
  quiet: {{{BOX}, attach: false, command: [sh, -c, "echo quiet"]}}
  tty: {{{BOX}, tty: true, command: [sh, -c, "sleep 0.1; echo to-terminal >&2"]}}
"""
ABORTING = f"""
services:
  bad: {{{BOX}, command: [sh, -c, "sleep 0.3; exit 111"]}}
  good: {{{BOX}, command: "true"}}
  long: {{{BOX}, command: [sh, -c, "trap 'exit 42' TERM; while :; do sleep 0.1; done"]}}
  plain: {{{BOX}, init: true, command: sleep 99}}
  again: {{{BOX}, restart: always, command: [sh, -c, "sleep 0.2; exit 9"]}}
"""
STUBBORN = f"""
services:
  a: {{{BOX}, command: [sh, -c, "trap 'echo stopping' TERM; echo ready; while :; do sleep 0.1; done"]}}
"""
POLITE = f"""
services:
  a: {{{BOX}, command: [sh, -c, "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done"]}}
  b: {{{BOX}, init: true, command: sleep 99}}
"""


def test_lines_and_their_prefixes(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(TALKING)
    up = pycompose(directory, "up")
    lines = up.out.splitlines()
    assert lines[0] == "Attaching to a-1, longer-1, tty-1"
    assert sorted(lines[1:]) == sorted([
        "a-1       | out", "a-1       | last", "longer-1  | longer", "tty-1     | to-terminal",
        "a-1 exited with code 0", "longer-1 exited with code 3", "tty-1 exited with code 0",
    ])  # fmt: skip
    assert lines.index("a-1       | last") < lines.index("a-1 exited with code 0")
    assert "a-1       | err\n" in up.err
    assert "quiet\n" not in up.out
    assert "Start" not in up.err

    again = pycompose(directory, "up", "--no-log-prefix", "a").out  # the line that the first run left open is not shown again
    assert again == "Attaching to a-1\nout\nlast\na-1 exited with code 0\n"
    only = pycompose(directory, "up", "--attach", "longer").out
    assert only == "Attaching to longer-1\nlonger-1  | longer\nlonger-1 exited with code 3\n"
    assert "a-1 " not in pycompose(directory, "up", "--no-attach", "a").out
    assert pycompose(directory, "logs", "--no-log-prefix", "quiet").out.splitlines() == ["quiet"] * 3
    assert pycompose(directory, "logs", "--no-log-prefix", "-n", "2", "a").out.splitlines()[-1] == "last"


@pytest.mark.parametrize(
    ("flags", "code", "ends"),
    [
        (("--abort-on-container-exit", "good", "plain"), 0, {"plain-1": 143}),
        (("--abort-on-container-exit", "bad", "long"), 111, {"long-1": 42}),
        (("--abort-on-container-failure", "good", "bad", "plain"), 111, {"plain-1": 143}),
        (("--abort-on-container-failure", "good"), 0, {"good-1": 0}),
        (("--exit-code-from", "bad", "bad", "long"), 111, {"bad-1": 111}),
        (("--exit-code-from", "long", "bad", "long"), 42, {"bad-1": 111}),
        (("--exit-code-from", "plain", "bad", "plain"), 143, {"bad-1": 111}),
        (("--abort-on-container-exit", "again", "plain"), 9, {"plain-1": 143}),
    ],
)
def test_the_end_of_one_is_the_end_of_all(
    pycompose: CommandLine, stack: Callable[[str], Path], flags: tuple[str, ...], code: int, ends: dict[str, int]
) -> None:
    directory = stack(ABORTING)
    up = pycompose(directory, "up", *flags, ok=False, timeout=60)
    assert up.code == code
    assert ("Aborting on container exit..." in up.err) == (flags != ("--abort-on-container-failure", "good"))
    seen = rows(pycompose, directory)
    assert {n: seen[n].code for n in ends} == ends
    assert {r.state for r in seen.values()} == {"exited"}
    for name, end in ends.items():
        assert f"{name} exited with code {end}\n" in up.out


def begin(pycompose: CommandLine, directory: Path, *arguments: str, until: str) -> subprocess.Popen[str]:
    """Start ``up`` and return when it has printed a line with ``until``."""
    process = pycompose.start(directory, "up", *arguments, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    for line in process.stdout:
        if until in line:
            return process
    raise AssertionError(f"up ended with {process.wait()} before {until!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_ctrl_c_stops_and_shows_the_last_words(pycompose: CommandLine, stack: Callable[[str], Path], number: signal.Signals) -> None:
    directory = stack(POLITE)
    process = begin(pycompose, directory, until="a-1  | ready")
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    for text in ("Gracefully Stopping... press Ctrl+C again to force", "a-1  | bye", "a-1 exited with code 5", "b-1 exited with code 143"):
        assert f"{text}\n" in rest
    assert {n: (r.state, r.code) for n, r in rows(pycompose, directory).items()} == {"a-1": ("exited", 5), "b-1": ("exited", 143)}


def test_the_second_ctrl_c_kills_at_once(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(STUBBORN)
    process = begin(pycompose, directory, "-t", "100", until="a-1  | ready")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert any("a-1  | stopping" in line for line in process.stdout)  # logs flow while stopping
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, "a-1 exited with code 137\n" in rest) == (130, True)
    assert rows(pycompose, directory)["a-1"].code == 137


def test_ctrl_c_stops_what_was_named_not_what_it_needs(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  db: {{{BOX}, command: sleep 99}}\n  web: {{{BOX}, init: true, command: sleep 99, depends_on: [db]}}\n")
    process = begin(pycompose, directory, "web", until="Attaching to web-1")
    while rows(pycompose, directory)["web-1"].state != "running":
        assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert {n: r.state for n, r in rows(pycompose, directory).items()} == {"db-1": "running", "web-1": "exited"}


def test_ctrl_c_in_the_middle_of_starting_leaves_nothing_running(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    services = "".join(f"  s{i}: {{{BOX}, init: true, command: sleep 99}}\n" for i in range(8))
    directory = stack(f"services:\n{services}")
    process = begin(pycompose, directory, until="Attaching to")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert {r.state for r in rows(pycompose, directory).values()} <= {"created", "exited"}
