"""Who may import what, where a linter of static imports cannot see: homes of libraries, and what a fast command loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for folder in ("compose", "runtime") for p in (ROOT / folder).rglob("*.py"))

HOMES = {
    "ctypes": ("runtime/native/",),
    "networkx": ("compose/graph",),
    "pyroute2": ("runtime/network/",),
    "urllib3": ("runtime/images/",),
    "click": ("compose/cli/",),
    "yaml": ("compose/loader/",),
    "e2b_dockerfile_utils": ("runtime/build/",),
    "backports": ("runtime/images/",),
    "anyio": ("compose/scheduler.py", "compose/cli/", "runtime/engine/", "runtime/images/", "runtime/network/client", "runtime/build/"),
}
COMPOSE_ENTERS_RUNTIME_BY = (
    "runtime.record",
    "runtime.spec",
    "runtime.state",
    "runtime.observe",
    "runtime.engine",
    "runtime.errors",
    "runtime.store",
    "runtime.codec",
    "runtime.network.ipam",
)
STAYS_RUNNING = (
    "runtime/supervisor/",
    "runtime/native/",
    "runtime/sandbox",
    "runtime/cgroups",
    "runtime/mounts",
    "runtime/overlayfs",
    "runtime/namespaces",
    "runtime/security",
)


def imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += (
                [(node.lineno, node.module)]
                if node.module not in ("runtime", "compose")
                else [(node.lineno, f"{node.module}.{a.name}") for a in node.names]
            )
    return found


def test_each_library_has_one_home() -> None:
    bad = []
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        for line, name in imports(path):
            home = HOMES.get(name.split(".")[0])
            if home and not place.startswith(home):
                bad.append(f"{place}:{line} imports {name}")
    assert not bad, bad


def test_data_classes_are_the_cheap_ones() -> None:
    places = (
        p.relative_to(ROOT).as_posix()
        for p in SOURCES
        if re.search(r"^from dataclasses import .*\bdataclass\b", p.read_text(), re.MULTILINE)
    )
    assert not [p for p in places if p != "runtime/record.py"]


def test_runtime_knows_nothing_of_compose() -> None:
    bad = [
        f"{p}:{line}" for p in SOURCES if p.is_relative_to(ROOT / "runtime") for line, name in imports(p) if name.split(".")[0] == "compose"
    ]
    assert not bad, bad


def test_compose_enters_the_runtime_by_its_doors() -> None:
    bad = [
        f"{p.relative_to(ROOT)}:{line} {name}"
        for p in SOURCES
        if p.is_relative_to(ROOT / "compose")
        for line, name in imports(p)
        if name.startswith("runtime.") and not name.startswith(COMPOSE_ENTERS_RUNTIME_BY)
    ]
    assert not bad, bad


def test_what_stays_running_is_the_standard_library() -> None:
    known = sys.stdlib_module_names | {"runtime"}
    bad = [
        f"{p.relative_to(ROOT)}:{line} {name}"
        for p in SOURCES
        if p.relative_to(ROOT).as_posix().startswith(STAYS_RUNNING)
        for line, name in imports(p)
        if name.split(".")[0] not in known
    ]
    assert not bad, bad


@pytest.mark.parametrize("arguments", [["ps"], ["logs"], ["ls"], ["version"], ["--help"]], ids=" ".join)
def test_reading_commands_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys\nsys.argv[1:] = sys.argv[1:]\nfrom compose.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'asyncio', 'anyio', 'networkx', 'pyroute2', 'rich', 'urllib3', 'yaml'} & set(sys.modules)\n"
        "sys.stderr.write('heavy:' + ','.join(sorted(heavy)))\n"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYCOMPOSE_ROOT": str(tmp_path / "root"),
        "PYCOMPOSE_RUN": str(tmp_path / "run"),
        "PYTHONPATH": str(ROOT),
    }
    before = ["-p", "demo"] if arguments[0] in ("ps", "logs") else []
    done = subprocess.run(
        [sys.executable, "-c", program, *before, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr.endswith("heavy:"), done.stderr[-500:]
