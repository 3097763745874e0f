"""Where a container's variables come from: ``run -e`` before the shell, before ``env_file``, before ``.env``, before the image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine

pytestmark = pytest.mark.root
STACK = """
services:
  a:
    image: busybox:latest
    network_mode: none
    command: env
    env_file: [a.env]
    environment:
      A: "${A:-none}"
      B:
      C: from environment
      F:
"""


def seen(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_the_chain_of_precedence(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(STACK)
    (directory / "a.env").write_text("A=file\nB=file\nC=file\nD=${SOURCE:-file}\nE=file\n")
    (directory / ".env").write_text("A=dot\nB=dot\nSOURCE=dot\n")

    plain = seen(pycompose(directory, "run", "--rm", "a").out)
    assert plain.items() >= {"A": "dot", "B": "dot", "C": "from environment", "D": "dot", "E": "file"}.items()
    assert "F" not in plain
    assert plain["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    shell = seen(pycompose(directory, "run", "--rm", "a", A="shell", B="shell", SOURCE="shell", F="1").out)
    assert shell.items() >= {"A": "shell", "B": "shell", "C": "from environment", "D": "shell", "E": "file", "F": "1"}.items()

    flags = ("-e", "A=said", "-e", "B", "-e", "C=said", "-e", "E=", "-e", "PATH=/bin", "-e", "NOWHERE")
    said = seen(pycompose(directory, "run", "--rm", *flags, "a", A="shell").out)
    assert said.items() >= {"A": "said", "B": "dot", "C": "said", "D": "dot", "E": "", "PATH": "/bin"}.items()
    assert "NOWHERE" not in said


def test_a_changed_value_in_a_file_recreates_its_users_only(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(
        "services:\n"
        "  a: {image: busybox:latest, network_mode: none, init: true, command: sleep 99, env_file: a.env}\n"
        '  b: {image: busybox:latest, network_mode: none, init: true, command: sleep 99, environment: ["X=${X}"]}\n'
    )
    (directory / "a.env").write_text("V=1\n")
    (directory / ".env").write_text("X=1\n")
    pycompose(directory, "up", "-d")
    before = pycompose(directory, "ps", "-q", "a").out, pycompose(directory, "ps", "-q", "b").out
    (directory / "a.env").write_text("V=2\n")
    pycompose(directory, "up", "-d", "-t", "0")
    after = pycompose(directory, "ps", "-q", "a").out, pycompose(directory, "ps", "-q", "b").out
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert pycompose(directory, "exec", "-T", "a", "sh", "-c", "echo $V").out == "2\n"
    (directory / ".env").write_text("X=2\n")
    assert "Container demo-b-1  Recreate" in pycompose(directory, "up", "-d", "-t", "0").err
    assert pycompose(directory, "exec", "-T", "b", "sh", "-c", "echo $X").out == "2\n"
