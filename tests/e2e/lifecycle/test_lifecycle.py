"""``stop start restart kill pause unpause rm wait`` and restart policies, as seen from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
BOX = "image: busybox:latest, network_mode: none"
SLEEPER = f"{BOX}, init: true, command: sleep 99"


def states(pycompose: CommandLine, directory: Path) -> dict[str, tuple[str, int]]:
    return {n: (r.state, r.code) for n, r in rows(pycompose, directory).items()}


def test_pause_and_unpause(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}}}\n")
    assert pycompose(directory, "pause").code == 0
    pycompose(directory, "up", "-d")
    assert "Container demo-a-1  Paused" in pycompose(directory, "pause", "a").err
    assert states(pycompose, directory) == {"a-1": ("paused", 0), "b-1": ("running", 0)}
    assert pycompose(directory, "ps", "a", "--format", "{{.Status}}").out.endswith("(Paused)\n")
    assert pycompose(directory, "ps", "--status", "paused", "--services").out == "a\n"
    for command, message in (
        (("pause", "a"), "is already paused"),
        (("exec", "-T", "a", "true"), "is paused, unpause"),
        (("unpause", "b"), "is not paused"),
    ):
        refused = pycompose(directory, *command, ok=False)
        assert (refused.code, message in refused.err) == (1, True), refused
    assert "Container demo-a-1  Unpaused" in pycompose(directory, "unpause", "a").err
    pycompose(directory, "pause", "a")
    pycompose(directory, "kill", "a")
    assert states(pycompose, directory) == {"a-1": ("exited", 137), "b-1": ("running", 0)}


def test_stop_start_kill_and_rm(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(
        f"services:\n  a: {{{SLEEPER}, restart: always}}\n"
        f"  b: {{{BOX}, stop_signal: SIGUSR1, command: [sh, -c, \"trap 'exit 9' USR1; trap 'echo hup' HUP; while :; do sleep 0.1; done\"]}}\n"
    )
    refused = pycompose(directory, "start", ok=False)
    assert (refused.code, "has no container to start" in refused.err) == (1, True)
    assert pycompose(directory, "kill").err == "no container to kill\n"
    assert pycompose(directory, "rm", "-f").err == "No stopped containers\n"
    pycompose(directory, "up", "-d")
    pycompose(directory, "kill", "-s", "HUP", "b")
    pycompose(directory, "stop")
    assert states(pycompose, directory) == {"a-1": ("exited", 143), "b-1": ("exited", 9)}
    assert pycompose(directory, "logs", "b").out == "b-1  | hup\n"
    before = pycompose(directory, "ps", "-aq").out
    pycompose(directory, "start")
    assert states(pycompose, directory) == {"a-1": ("running", 0), "b-1": ("running", 0)}
    assert pycompose(directory, "ps", "-aq").out == before
    pycompose(directory, "kill", "a")
    time.sleep(0.5)
    assert states(pycompose, directory)["a-1"] == ("exited", 137)  # a killed container stays down, whatever its restart policy
    asked = pycompose(directory, "rm", input="n\n")
    assert (asked.out, "Are you sure?" in asked.err) == ("Going to remove demo-a-1\n", True)
    pycompose(directory, "rm", input="y\n")
    assert set(rows(pycompose, directory)) == {"b-1"}
    pycompose(directory, "rm", "-sf")
    assert rows(pycompose, directory) == {}


def test_restart_takes_those_along_who_ask_for_it(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(
        f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}, depends_on: {{a: {{condition: service_started, restart: true}}}}}}\n"
        f"  c: {{{SLEEPER}, depends_on: [a]}}\n"
    )
    pycompose(directory, "up", "-d")
    before = pycompose(directory, "ps", "-q").out
    said = pycompose(directory, "restart", "-t", "0", "a").err
    assert [line.strip() for line in said.splitlines()] == [
        "Container demo-a-1  Restarting", "Container demo-a-1  Started", "Container demo-b-1  Restarting", "Container demo-b-1  Started",
    ]  # fmt: skip
    assert "b-1" not in pycompose(directory, "restart", "-t", "0", "--no-deps", "a").err
    pycompose(directory, "stop", "-t", "0")
    pycompose(directory, "start", "c")
    assert {n: s for n, (s, _) in states(pycompose, directory).items()} == {"a-1": "running", "b-1": "exited", "c-1": "running"}
    pycompose(directory, "restart", "-t", "0")
    assert {s for s, _ in states(pycompose, directory).values()} == {"running"}
    assert pycompose(directory, "ps", "-q").out == before


def test_wait_says_who_ended_and_ends_alike(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  a: {{{BOX}, command: [sh, -c, 'sleep 2; exit 3']}}\n  s: {{{SLEEPER}}}\n")
    nobody = pycompose(directory, "wait", "a", ok=False)
    assert (nobody.code, 'no containers for project "demo"' in nobody.err) == (1, True)
    pycompose(directory, "up", "-d")
    row = rows(pycompose, directory)["a-1"]
    waited = pycompose(directory, "wait", "a", ok=False)
    assert (waited.code, waited.out) == (3, f'container "{pycompose(directory, "ps", "-aq", "a").out.strip()}" exited with status code 3\n')
    assert row.state == "running"
    pycompose(directory, "start", "a")
    assert pycompose(directory, "wait", "--down-project", "a", ok=False).code == 3
    assert rows(pycompose, directory) == {}


def test_restart_policies(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(
        f"services:\n  never: {{{BOX}, command: 'false'}}\n  always: {{{BOX}, restart: always, command: 'true'}}\n"
        f"  failing: {{{BOX}, restart: on-failure, command: 'true'}}\n"
        f"  twice: {{{BOX}, restart: 'on-failure:2', command: [sh, -c, 'echo run; exit 1']}}\n"
        f"  deployed: {{{BOX}, deploy: {{restart_policy: {{condition: on-failure, max_attempts: 1}}}}, command: [sh, -c, 'echo run; exit 1']}}\n"
    )
    pycompose(directory, "up", "-d")
    deadline = time.monotonic() + 30
    while (seen := states(pycompose, directory))["twice-1"][0] != "exited" or seen["deployed-1"][0] != "exited":
        assert time.monotonic() < deadline
    assert pycompose(directory, "logs", "--no-log-prefix", "twice").out == "run\n" * 3
    assert pycompose(directory, "logs", "--no-log-prefix", "deployed").out == "run\n" * 2
    assert {n: seen[f"{n}-1"] for n in ("never", "failing", "twice", "deployed")} == {
        "never": ("exited", 1), "failing": ("exited", 0), "twice": ("exited", 1), "deployed": ("exited", 1),
    }  # fmt: skip
    assert seen["always-1"][0] in ("restarting", "running")
    pycompose(directory, "stop")
    assert states(pycompose, directory)["always-1"][0] == "exited"


def test_health_as_ps_tells_it(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(
        f"services:\n  h: {{{SLEEPER}, healthcheck: {{test: test -f /ok, interval: 100ms, timeout: 5s, retries: 2}}}}\n"
        f"  off: {{{SLEEPER}, healthcheck: {{disable: true}}}}\n"
    )

    def becomes(health: str) -> None:
        deadline = time.monotonic() + 30
        while rows(pycompose, directory)["h-1"].health != health:
            assert time.monotonic() < deadline, health

    pycompose(directory, "up", "-d")
    becomes("unhealthy")
    assert "(unhealthy)" in pycompose(directory, "ps", "h", "--format", "{{.Status}}").out
    pycompose(directory, "exec", "-T", "h", "touch", "/ok")
    becomes("healthy")
    pycompose(directory, "exec", "-T", "h", "rm", "/ok")
    becomes("unhealthy")
    seen = rows(pycompose, directory)
    assert (seen["h-1"].state, seen["off-1"].health) == ("running", "")
