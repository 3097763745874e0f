"""What is answered before the command line's machinery is there, and that everything else is left to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compose.cli import quick


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["exec"],
        ["exec", "web"],
        ["exec", "-T"],
        ["exec", "-T", "web"],
        ["exec", "-it", "web", "sh"],
        ["exec", "-T", "-u", "root", "web", "id"],
        ["exec", "web", "--", "ls"],
        ["--dry-run", "exec", "web", "ls"],
        ["-f"],
        ["-f", "compose.yaml"],
        ["up", "-d"],
        ["image", "pull"],
        ["image", "pull", "--platform", "linux/arm64", "busybox"],
    ],
)
def test_left_to_the_usual_way(words: list[str]) -> None:
    assert quick.answered(words) is None


def test_variables_that_decide_about_output_are_the_usual_ways_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_PARALLEL_LIMIT", "many")
    assert quick.answered(["exec", "-T", "web", "true"]) is None


def test_what_goes_wrong_is_said_by_the_usual_way(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: busybox\n")
    words = [sys.executable, "-m", "compose", "-f", str(tmp_path / "compose.yaml"), "-p", "nothing-runs-here", "exec", "-T", "wbe", "true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no such service: wbe" in done.stderr
    assert "did you mean web?" in done.stderr


def test_exec_needs_no_click() -> None:
    script = (
        "import sys; from compose.cli import quick; "
        "assert quick.answered(['-p', 'nothing-runs-here', '-f', '/nowhere/compose.yaml', 'exec', '-T', 'web', 'true']) is None; "
        "print('click' in sys.modules, 'runtime.engine.access' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
