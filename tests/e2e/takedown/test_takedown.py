"""What ``down`` takes away and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
SLEEPER = "image: busybox:latest, init: true, command: sleep 300"


def networks(pycompose: CommandLine) -> set[str]:
    return {p.name for p in (pycompose.root / "networks").glob("[!.]*")}


def test_orphans_stay_unless_asked_for(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}}}\n")
    pycompose(directory, "up", "-d")
    stack(f"services:\n  a: {{{SLEEPER}}}\n")
    again = pycompose(directory, "up", "-d")
    assert "Found orphan containers ([demo-b-1])" in again.err
    left = pycompose(directory, "down", "-t", "0")
    assert set(rows(pycompose, directory)) == {"b-1"}
    assert "Network demo_default  Resource is still in use" in left.err
    gone = pycompose(directory, "down", "-t", "0", "--remove-orphans")
    assert "Container demo-b-1  Removed" in gone.err
    assert rows(pycompose, directory) == {}
    assert networks(pycompose) == set()
    nothing = pycompose(directory, "down")
    assert 'No resource found to remove for project "demo".' in nothing.err


def test_one_service_with_those_that_need_it(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}, depends_on: [a]}}\n  c: {{{SLEEPER}}}\n")
    pycompose(directory, "up", "-d")
    pycompose(directory, "down", "-t", "0", "b")
    assert set(rows(pycompose, directory)) == {"a-1", "c-1"}
    assert networks(pycompose) == {"demo_default"}
    pycompose(directory, "up", "-d")
    pycompose(directory, "down", "-t", "0", "-v", "c")
    assert set(rows(pycompose, directory)) == {"a-1", "b-1"}


def test_another_project_on_the_network(pycompose: CommandLine, stack: Callable[[str, str], Path]) -> None:
    owner = stack(f"services:\n  a: {{{SLEEPER}, networks: [n]}}\nnetworks: {{n: {{name: common}}}}\n", "owner")
    pycompose(owner, "up", "-d")
    guest = stack(f"services:\n  g: {{{SLEEPER}, networks: [n]}}\nnetworks: {{n: {{name: common, external: true}}}}\n", "guest")
    pycompose(guest, "up", "-d")
    ping = pycompose(guest, "exec", "-T", "g", "ping", "-c1", "-W2", "a")
    assert " 0% packet loss" in ping.out
    used = pycompose(owner, "down", "-t", "0")
    assert "Network common  Resource is still in use" in used.err
    assert networks(pycompose) == {"common"}
    pycompose(guest, "down", "-t", "0")
    assert networks(pycompose) == {"common"}  # external: not the guest's to remove
    pycompose(owner, "down")
    assert networks(pycompose) == set()
    missing = pycompose(guest, "up", "-d", ok=False)
    assert missing.code == 1
    assert "network common declared as external, but could not be found" in missing.err


def test_without_a_compose_file(pycompose: CommandLine, stack: Callable[[str], Path], tmp_path: Path) -> None:
    directory = stack(f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}, depends_on: [a], volumes: [v:/v]}}\nvolumes: {{v: {{}}}}\n")
    pycompose(directory, "up", "-d")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    gone = pycompose(elsewhere, "-p", "demo", "down", "-v", "-t", "0").err
    assert gone.index("Container demo-b-1  Stopped") < gone.index("Container demo-a-1  Stopping")
    assert "Volume demo_v  Removed" in gone
    assert rows(pycompose, directory) == {}
