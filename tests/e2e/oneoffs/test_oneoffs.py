"""``run``, ``exec``, ``cp`` and ``logs``: one-off containers, which replica is meant, what ends with which code."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
SLEEPER = "image: busybox:latest, init: true, command: sleep 300"


def test_run_starts_what_it_needs_and_nothing_else(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  app: {{{SLEEPER}, depends_on: [dep], ports: ["18080:80"], restart: always, entrypoint: [echo, entry]}}
  dep: {{{SLEEPER}}}
  sibling: {{{SLEEPER}}}
""")
    alone = pycompose(directory, "run", "--rm", "--no-deps", "app", "hi")
    assert alone.out == "entry hi\n"
    assert rows(pycompose, directory) == {}
    pycompose(directory, "run", "app", "there")
    found = rows(pycompose, directory)
    (kept,) = found.keys() - {"dep-1"}
    assert kept.startswith("app-run-")
    assert (found["dep-1"].state, found[kept].state, found[kept].code) == ("running", "exited", 0)
    assert pycompose(directory, "run", "--rm", "--entrypoint", "cat", "app", input="piped\nlines").out == "piped\nlines"
    refused = pycompose(directory, "run", "-t", "--rm", "app", input="x", ok=False)
    assert refused.code == 1
    assert "the input device is not a TTY" in refused.err
    codes = {
        ("sh", "-c", "exit 42"): 42,
        ("sh", "-c", "kill -9 $$"): 137,
        ("nothere",): 127,
        ("/etc/passwd",): 126,
    }
    for command, code in codes.items():
        assert pycompose(directory, "run", "--rm", "--no-deps", "--entrypoint", command[0], "app", *command[1:], ok=False).code == code, (
            command
        )


def test_run_publishes_what_it_is_told(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f'services:\n  app: {{{SLEEPER}, ports: ["18081:80"]}}\n')

    def published(*flags: str) -> list[int]:
        container = pycompose(directory, "run", "-d", *flags, "app").out.strip()
        shown = [json.loads(line) for line in pycompose(directory, "ps", "-a", "--format", "json").out.splitlines()]
        (row,) = [r for r in shown if container.startswith(r["ID"]) or r["Name"] == container]
        pycompose(directory, "down", "-t", "0", "--remove-orphans")
        return sorted({p["PublishedPort"] for p in row["Publishers"]} - {0})

    assert published() == []
    assert published("-P") == [18081]
    assert published("-p", "18082:80") == [18082]


def test_the_lowest_replica_is_meant_and_a_one_off_when_there_is_none(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  app: {{{SLEEPER}, scale: 3, hostname: '', network_mode: none}}\n")
    pycompose(directory, "up", "-d")
    short = {n: r.id for n, r in rows(pycompose, directory).items()}

    def host(*flags: str) -> str:
        return pycompose(directory, "exec", "-T", *flags, "app", "hostname").out.strip()

    assert host() == short["app-1"]
    assert host("--index", "3") == short["app-3"]
    absent = pycompose(directory, "exec", "-T", "--index", "9", "app", "true", ok=False)
    assert absent.code == 1
    assert 'service "app" is not running container #9' in absent.err
    codes = {("sh", "-c", "exit 7"): 7, ("nothere",): 127, ("/etc/passwd",): 126, ("sh", "-c", "kill -9 $$"): 137}
    for command, code in codes.items():
        assert pycompose(directory, "exec", "-T", "app", *command, ok=False).code == code
    assert pycompose(directory, "exec", "-T", "app", "cat", input="in\n").out == "in\n"

    (directory / "f").write_text("copied")
    pycompose(directory, "cp", "f", "app:/all")
    pycompose(directory, "cp", "--index", "2", "f", "app:/two")
    kept = [pycompose(directory, "exec", "-T", "--index", n, "app", "ls", "/all", "/two", ok=False).out.split() for n in "123"]
    assert kept == [["/all"], ["/all", "/two"], ["/all"]]
    pycompose(directory, "exec", "-T", "--index", "2", "app", "sh", "-c", "echo second > /from")
    pycompose(directory, "cp", "--index", "2", "app:/from", "back")
    assert (directory / "back").read_text() == "second\n"

    pycompose(directory, "rm", "-fs", "app")
    one_off = pycompose(directory, "run", "-d", "app").out.strip()
    assert host()
    indexed = pycompose(directory, "exec", "-T", "--index", "1", "app", "true", ok=False)
    assert indexed.code == 1
    assert 'service "app" is not running container #1' in indexed.err
    assert one_off


def test_logs_of_one_replica_and_of_those_that_come_later(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    script = "echo one; echo two >&2; printf last; sleep 300"
    service = {"image": "busybox:latest", "init": True, "network_mode": "none", "command": ["sh", "-c", script]}
    directory = stack(json.dumps({"services": {"app": service, "other": {**service, "command": ["echo", "x"]}}}))
    pycompose(directory, "up", "-d", "--scale", "app=2")
    time.sleep(0.3)
    second = pycompose(directory, "logs", "--index", "2", "app").out
    assert second == "app-2  | one\napp-2  | two\napp-2  | last\n"
    pycompose(directory, "run", "--rm", "-d", "app")
    assert pycompose(directory, "logs", "--no-log-prefix", "-n", "1", "app").out == "last\nlast\n"  # no one-offs
    following = pycompose.start(directory, "logs", "-f", "app")
    try:
        pycompose(directory, "up", "-d", "--scale", "app=3")
        time.sleep(0.7)
    finally:
        following.terminate()
        out, _ = following.communicate(timeout=10)
    assert "app-3  | one\n" in out
    assert "other" not in out
