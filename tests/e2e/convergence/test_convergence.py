"""What ``up`` does to containers that are there: nothing, or no more than it must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
SLEEPER = "image: busybox:latest, init: true, command: sleep 99"
STACK = f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}, depends_on: [a]}}\n"


def ids(pycompose: CommandLine, directory: Path) -> dict[str, str]:
    return {n: r.id for n, r in rows(pycompose, directory).items()}


def test_twice_is_once(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(STACK + '  once: {image: busybox:latest, command: "true"}\n')
    pycompose(directory, "up", "-d")
    before = ids(pycompose, directory)
    again = pycompose(directory, "up", "-d")
    assert ids(pycompose, directory) == before
    assert " Container demo-a-1  Running\n Container demo-b-1  Running\n" in again.err
    assert "Container demo-once-1  Started" in again.err  # what has ended is started again
    assert "Creat" not in again.err


def test_a_changed_attribute_recreates_that_service_alone(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(STACK)
    pycompose(directory, "up", "-d")
    first = ids(pycompose, directory)
    stack(f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}, depends_on: [a], labels: [x=y]}}\n")
    changed = pycompose(directory, "up", "-d", "-t", "0").err
    second = ids(pycompose, directory)
    assert "Container demo-b-1  Recreated" in changed
    assert "Container demo-a-1  Running" in changed
    assert (second["a-1"] == first["a-1"], second["b-1"] == first["b-1"]) == (True, False)

    stack(f"services:\n  a: {{{SLEEPER}, hostname: h}}\n  b: {{{SLEEPER}, depends_on: [a], labels: [x=y], scale: 1, profiles: []}}\n")
    pycompose(directory, "up", "-d", "-t", "0")
    third = ids(pycompose, directory)
    assert (third["a-1"] == second["a-1"], third["b-1"] == second["b-1"]) == (False, True)


def test_the_policies_of_recreation(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(STACK)
    pycompose(directory, "up", "-d")
    first = ids(pycompose, directory)
    pycompose(directory, "up", "-d", "--force-recreate", "-t", "0", "b")
    second = ids(pycompose, directory)
    assert (second["a-1"] == first["a-1"], second["b-1"] == first["b-1"]) == (True, False)
    pycompose(directory, "up", "-d", "--always-recreate-deps", "-t", "0", "b")
    third = ids(pycompose, directory)
    assert (third["a-1"] == second["a-1"], third["b-1"] == second["b-1"]) == (False, True)
    stack(STACK.replace("sleep 99", "sleep 98"))
    pycompose(directory, "up", "-d", "--no-recreate")
    assert ids(pycompose, directory) == third


def test_profiles(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(
        f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}, profiles: [x]}}\n  c: {{{SLEEPER}, profiles: [y]}}\n"
        f"  d: {{{SLEEPER}, profiles: [x], depends_on: [a]}}\n"
    )
    pycompose(directory, "up", "-d")
    assert set(rows(pycompose, directory)) == {"a-1"}
    pycompose(directory, "--profile", "x", "up", "-d")
    assert set(rows(pycompose, directory)) == {"a-1", "b-1", "d-1"}
    pycompose(directory, "up", "-d", "c")  # naming a service enables its profile
    assert set(rows(pycompose, directory)) == {"a-1", "b-1", "c-1", "d-1"}
    down = pycompose(directory, "down", "-t", "0").err  # services of disabled profiles are no orphans, and stay
    assert "Network demo_default  Resource is still in use" in down
    assert set(rows(pycompose, directory)) == {"b-1", "c-1", "d-1"}
    pycompose(directory, "--profile", "*", "down", "-t", "0")
    assert rows(pycompose, directory) == {}
    pycompose(directory, "up", "-d", COMPOSE_PROFILES="x,y")
    assert set(rows(pycompose, directory)) == {"a-1", "b-1", "c-1", "d-1"}


def test_scale(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  a: {{{SLEEPER}}}\n  n: {{{SLEEPER}, container_name: e2e-named, scale: 0}}\n")
    pycompose(directory, "scale", "a=3")
    first = ids(pycompose, directory)
    assert set(first) == {"a-1", "a-2", "a-3"}
    pycompose(directory, "up", "-d", "--scale", "a=2", "-t", "0")
    assert ids(pycompose, directory) == {n: first[n] for n in ("a-1", "a-2")}
    stack(f"services:\n  a: {{{SLEEPER}, labels: [x=y]}}\n")
    pycompose(directory, "up", "-d", "--no-recreate", "--scale", "a=4")
    grown = ids(pycompose, directory)
    assert (len(grown), grown["a-1"], grown["a-2"]) == (4, first["a-1"], first["a-2"])
    assert grown["a-3"] != first["a-3"]
    pycompose(directory, "scale", "a=0")
    assert rows(pycompose, directory) == {}
    for wrong in ("a", "a=x", "a=-1"):
        assert pycompose(directory, "scale", wrong, ok=False).code == 1
    stack(f"services:\n  n: {{{SLEEPER}, container_name: e2e-named}}\n")
    refused = pycompose(directory, "scale", "n=2", ok=False)
    assert (refused.code, 'custom container name "e2e-named"' in refused.err) == (1, True)
