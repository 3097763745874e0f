"""``config`` as a process: flags, exit codes, streams, what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compose import LoadOptions, load

TEXT = """\
name: demo
services:
  web:
    image: nginx:${TAG:-1}
    environment: {A: $$HOME, B: "${B?}"}
    volumes: [data:/data]
    networks: [front]
    depends_on: [db]
  db: {build: ., profiles: []}
  tool: {image: tool, profiles: [dev]}
networks: {front: , unused: }
volumes: {data: , other: }
"""


def run(directory: Path, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "B": "2", "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    command = [sys.executable, "-m", "compose", *args]
    return subprocess.run(command, cwd=directory, env=environment, input=stdin, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(TEXT)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        (["--services"], ["db", "web"]),
        (["--volumes"], ["data"]),
        (["--networks"], ["default", "front"]),
        (["--profiles"], ["dev"]),
        (["--images"], ["demo-db", "nginx:1"]),
        (["--models"], []),
        (["-q"], []),
    ],
)
def test_lists(project: Path, flags: list[str], lines: list[str]) -> None:
    done = run(project, "config", *flags)
    assert (done.returncode, done.stdout.splitlines()) == (0, lines), done.stderr


def test_profiles_and_all_resources(project: Path) -> None:
    assert run(project, "--profile", "dev", "config", "--services").stdout.split() == ["db", "tool", "web"]
    assert run(project, "--all-resources", "config", "--volumes").stdout.split() == ["data", "other"]


def test_a_service_brings_its_dependencies_and_its_profile(project: Path) -> None:
    shown = json.loads(run(project, "config", "--format", "json", "tool").stdout)
    assert list(shown["services"]) == ["tool"]
    assert list(json.loads(run(project, "config", "--format", "json", "web").stdout)["services"]) == ["db", "web"]


def test_an_unknown_service(project: Path) -> None:
    done = run(project, "config", "wbe")
    assert done.returncode == 1
    assert "no such service: wbe" in done.stderr
    assert "'web'" in done.stderr


def test_output_goes_to_a_file_and_loads_back(project: Path) -> None:
    assert run(project, "config", "-o", "out.yaml").stdout == ""
    again = run(project, "-f", "out.yaml", "config")
    assert again.stdout == (project / "out.yaml").read_text()
    assert "$$HOME" in again.stdout


def test_no_interpolate_keeps_expressions(project: Path) -> None:
    done = run(project, "config", "--no-interpolate")
    assert "nginx:${TAG:-1}" in done.stdout
    assert "${B?}" in done.stdout
    assert "tool" in done.stdout


def test_no_normalize_and_no_path_resolution(project: Path) -> None:
    assert "demo_data" not in run(project, "config", "--no-normalize").stdout
    assert "context: .\n" in run(project, "config", "--no-path-resolution").stdout


def test_variables(project: Path) -> None:
    shown = json.loads(run(project, "config", "--variables", "--format", "json").stdout)
    assert shown["TAG"] == {"Name": "TAG", "DefaultValue": "1", "PresenceValue": "", "Required": False}
    assert shown["B"]["Required"] is True
    assert run(project, "config", "--variables").stdout.splitlines()[0].split() == [
        "NAME",
        "REQUIRED",
        "DEFAULT",
        "VALUE",
        "ALTERNATE",
        "VALUE",
    ]


def test_environment(project: Path) -> None:
    lines = run(project, "config", "--environment").stdout.splitlines()
    assert "B=2" in lines
    assert "COMPOSE_PROJECT_NAME=demo" in lines


def test_hashes_change_with_the_service(project: Path) -> None:
    first = run(project, "config", "--hash", "*").stdout.split()
    assert first[::2] == ["db", "web"]
    (project / "compose.yaml").write_text(TEXT.replace("nginx:", "httpd:"))
    second = run(project, "config", "--hash", "web").stdout.split()
    assert second[0] == "web"
    assert second[1] != first[3]


def test_stdin(project: Path) -> None:
    done = run(project, "-f", "-", "config", "--services", stdin="services: {x: {image: y}}\n")
    assert done.stdout == "x\n", done.stderr


def test_mistakes_are_shown_with_the_line_and_end_with_1(project: Path) -> None:
    (project / "compose.yaml").write_text("services:\n  a:\n    imge: x\n    user: 5\n")
    done = run(project, "config")
    assert (done.returncode, done.stdout) == (1, "")
    assert "compose.yaml:3:5: services.a.imge" in done.stderr
    assert "    imge: x\n" in done.stderr
    assert "services.a.user" in done.stderr
    assert "\x1b[" not in done.stderr


def test_mistakes_as_json_for_editors(project: Path) -> None:
    (project / "compose.yaml").write_text("services:\n  a:\n    imge: x\n    user: 5\n")
    done = run(project, "config", "--format", "json")
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [(p["line"], p["column"], p["path"]) for p in found] == [(3, 5, "services.a.imge"), (4, 11, "services.a.user")]
    assert "image" in found[0]["hint"]


def test_convert_is_config(project: Path) -> None:
    assert run(project, "convert").stdout == run(project, "config").stdout


def test_a_load_imports_no_more_than_it_needs(project: Path) -> None:
    code = (
        "import sys; from compose.loader import LoadOptions, load_tree; load_tree(LoadOptions(environment={'B': '1'}));"
        "print([m for m in ('networkx', 'anyio', 'asyncio', 'pyroute2', 'urllib3', 'click', 'compose.model', 'subprocess', 'logging') if m in sys.modules])"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_python_interface(project: Path) -> None:
    loaded = load(LoadOptions(files=(str(project / "compose.yaml"),), environment={"B": "x"}, profiles=("dev",)))
    assert loaded.name == "demo"
    assert set(loaded.services) == {"web", "db", "tool"}
    web = loaded.services["web"]
    assert web.environment == {"A": "$HOME", "B": "x"}
    assert web.depends_on["db"].condition == "service_started"
    assert loaded.networks["front"].name == "demo_front"
    with pytest.raises(AttributeError):
        web.image = "other"  # type: ignore[misc]
