"""Services that share another's network, the host's, or have none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
SLEEPER = "image: busybox:latest, init: true, command: sleep 300"
STACK = f"""
services:
  main: {{image: busybox:latest, init: true, command: httpd -f -p 80}}
  side: {{{SLEEPER}, network_mode: "service:main"}}
  named: {{{SLEEPER}, network_mode: "container:demo-main-1", profiles: [named]}}
  bad: {{{SLEEPER}, network_mode: "container:nope", profiles: [bad]}}
"""
FETCH = "wget -qO- http://localhost 2>&1; true"


def inside(pycompose: CommandLine, directory: Path, service: str, script: str) -> str:
    return pycompose(directory, "exec", "-T", service, "sh", "-c", script).out


def test_a_donor_must_be_there(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(STACK)
    missing = pycompose(directory, "up", "-d", "--no-deps", "side", ok=False)
    assert missing.code == 1
    assert "cannot share network namespace with service main: container missing" in missing.err
    unknown = pycompose(directory, "up", "-d", "bad", ok=False)
    assert unknown.code == 1
    assert "No such container: nope" in unknown.err


def test_one_network_for_two(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(STACK)
    pycompose(directory, "up", "-d", "side")  # the donor is a dependency
    assert {n: r.state for n, r in rows(pycompose, directory).items()} == {"main-1": "running", "side-1": "running"}
    assert "404" in inside(pycompose, directory, "side", FETCH)
    view = "ip -o -4 addr; hostname; cat /etc/resolv.conf; nslookup main | tail -3"
    assert inside(pycompose, directory, "side", view) == inside(pycompose, directory, "main", view)
    pycompose(directory, "up", "-d", "named")
    assert "404" in inside(pycompose, directory, "named", FETCH)

    first = rows(pycompose, directory)
    pycompose(directory, "up", "-d", "-t", "0", "--force-recreate", "main")
    pycompose(directory, "up", "-d", "-t", "0")
    second = rows(pycompose, directory)
    assert first["main-1"].id != second["main-1"].id
    assert second["side-1"].state == "running"
    assert "404" in inside(pycompose, directory, "side", FETCH)


def test_none_and_host(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    modes = "services:\n" + "".join(f"  {mode}: {{{SLEEPER}, network_mode: {mode}}}\n" for mode in ("none", "host"))
    directory = stack(modes)
    pycompose(directory, "up", "-d")
    assert not list((pycompose.root / "networks").glob("[!.]*"))
    lonely = inside(
        pycompose, directory, "none", "ip -o link | wc -l; ping -c1 -W1 127.0.0.1; ping -c1 -W1 10.9.9.9 2>&1; cat /etc/hosts; true"
    )
    assert lonely.startswith("1\n")
    assert " 0% packet loss" in lonely
    assert "Network is unreachable" in lonely
    assert "127.0.0.1\tlocalhost" in lonely
    shared = inside(pycompose, directory, "host", "readlink /proc/self/ns/net; hostname")
    assert shared.split() == [os.readlink("/proc/thread-self/ns/net"), os.uname().nodename]
