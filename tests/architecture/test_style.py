"""The house's sizes, names and linters, measured."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for folder in ("compose", "runtime") for p in (ROOT / folder).rglob("*.py"))
FORBIDDEN_NAMES = re.compile(r"(Manager|Helper|Utils?|Handler)$")


def functions() -> list[tuple[int, str]]:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                found.append((length, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"))
    return sorted(found)


def test_no_file_is_over_400_lines() -> None:
    long = [f"{p.relative_to(ROOT)}: {n}" for p in SOURCES if (n := p.read_text().count("\n")) > 400]
    assert not long, long


def test_functions_do_one_thing() -> None:
    found = functions()
    assert not [name for length, name in found if length > 60]
    lengths = [length for length, _ in found]
    assert statistics.median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.9)] <= 30


def test_names_are_the_fields_own() -> None:
    bad = []
    for path in SOURCES:
        if path.stem in ("utils", "util", "helpers", "common", "misc"):
            bad.append(str(path))
        bad += [
            f"{path}:{n.lineno} {n.name}"
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.ClassDef) and FORBIDDEN_NAMES.search(n.name)
        ]
    assert not bad, bad


def test_every_module_and_public_definition_says_what_it_is() -> None:
    silent = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path.relative_to(ROOT)))
    assert not silent, silent


def test_nothing_prints_but_the_output_module() -> None:
    bad = []
    for path in SOURCES:
        if path.relative_to(ROOT).as_posix() == "compose/cli/output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                bad.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not bad, bad


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "--quiet", "."], ["ruff", "format", "--check", "--quiet", "."], ["mypy"], ["import-linter"]],
    ids=["ruff check", "ruff format", "mypy strict", "layers"],
)
def test_linters_are_silent(command: list[str]) -> None:
    program = "lint-imports" if command[0] == "import-linter" else command[0]
    path = Path(sys.executable).parent / program
    done = subprocess.run([str(path), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
