"""Projects and names that cannot be: refused with exit code 1, the reference's words and the place in the file; nothing is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
SLEEPER = "image: busybox:latest, network_mode: none, init: true, command: sleep 99"


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}", "dependency cycle detected: a -> b -> a", ":2:"),
        ("a: {image: x, depends_on: [a]}", "dependency cycle detected: a -> a", ":2:"),
        ("a: {image: x, depends_on: [nope]}", 'service "a" depends on undefined service "nope"', ":2:30"),
        (
            "a: {image: x, depends_on: {nope: {condition: service_started, required: false}}}",
            'service "a" depends on undefined service "nope"',
            ":2:30",
        ),
        ("a: {image: x, links: [nope]}", 'service "a" depends on undefined service "nope"', ":2:"),
        ("a: {image: x, volumes_from: [nope]}", 'service "a" depends on undefined service "nope"', ":2:"),
        ('a: {image: x, network_mode: "service:nope"}', 'service "a" depends on undefined service "nope"', ":2:"),
        ("a: {image: x, networks: [nope]}", 'service "a" refers to undefined network nope', ":2:28"),
        ('a: {image: x, volumes: ["nope:/x"]}', 'service "a" refers to undefined volume nope', ":2:"),
        ("a: {image: x, secrets: [nope]}", 'service "a" refers to undefined secret nope', ":2:"),
        ("a: {image: x, configs: [nope]}", 'service "a" refers to undefined config nope', ":2:"),
    ],
)
def test_a_reference_to_nothing_or_in_a_circle(
    pycompose: CommandLine, stack: Callable[[str], Path], text: str, message: str, place: str
) -> None:
    directory = stack(f"services:\n  {text}\n")
    refused = pycompose(directory, "up", "-d", ok=False)
    assert refused.code == 1
    assert refused.out == ""
    assert message in refused.err
    assert f"compose.yaml{place}" in refused.err
    assert rows(pycompose, directory) == {}


def test_a_service_that_is_not_there(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  web: {{{SLEEPER}}}\n")
    commands = (
        ("up", "-d", "wev"), ("create", "wev"), ("start", "wev"), ("stop", "wev"), ("restart", "wev"), ("kill", "wev"), ("rm", "-f", "wev"),
        ("pause", "wev"), ("down", "wev"), ("ps", "wev"), ("logs", "wev"), ("exec", "wev", "true"), ("run", "wev", "true"),
        ("up", "--exit-code-from", "wev"),
    )  # fmt: skip
    for command in commands:
        refused = pycompose(directory, *command, ok=False)
        assert (refused.code, refused.out) == (1, ""), command
        assert "no such service: wev" in refused.err, command
        assert "web" in refused.err, command


def test_a_service_whose_profile_is_not_enabled_cannot_be_needed(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  a: {{{SLEEPER}, profiles: [x]}}\n  b: {{{SLEEPER}, profiles: [y], depends_on: [a]}}\n")
    refused = pycompose(directory, "up", "-d", "b", ok=False)
    assert refused.code == 1
    assert "--profile x" in refused.err
    assert rows(pycompose, directory) == {}


def test_flags_that_contradict_each_other(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"services:\n  a: {{{SLEEPER}}}\n  b: {{{SLEEPER}}}\n")
    clashes = {
        (
            "--wait",
            "--abort-on-container-exit",
        ): "--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies",
        ("-d", "--attach", "a"): "--detach cannot be combined with --abort-on-container-exit",
        ("--build", "--no-build"): "--build and --no-build are incompatible",
        ("--force-recreate", "--no-recreate"): "--force-recreate and --no-recreate are incompatible",
        ("--exit-code-from", "b", "a"): "no such service: b: disabled",
        ("--attach", "nope"): "cannot attach to services not included in up: nope",
    }
    for flags, message in clashes.items():
        refused = pycompose(directory, "up", *flags, ok=False)
        assert refused.code == 1, flags
        assert message in refused.err
    assert rows(pycompose, directory) == {}
