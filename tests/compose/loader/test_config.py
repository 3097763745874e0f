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


WRITTEN = """\
name: demo-$X
services:
  a:
    image: x:${TAG:-1}
    command: echo ${A} b
    environment: [A=1, 'B=${B}']
    labels: {l: 1}
    mem_limit: ${M:-1g}
    ports: ['${P}:80']
    volumes: ['${D:-./d}:/d:ro']
    depends_on: [b]
    gpus: all
  b: {image: y, profiles: [p], env_file: none.env}
"""


def test_what_is_not_interpolated_stays_as_written(project: Path) -> None:
    (project / "compose.yaml").write_text(WRITTEN)
    (project / "o.yaml").write_text("services: {a: {environment: {A: 2, C: x}}}\n")
    done = run(project, "-f", "compose.yaml", "-f", "o.yaml", "config", "--no-interpolate", "--no-normalize", "--format", "json")
    shown = json.loads(done.stdout)
    assert shown["name"] == "demo-$X"
    assert shown["services"]["a"] == {
        "image": "x:${TAG:-1}",
        "command": "echo ${A} b",
        "environment": ["A=2", "B=${B}", "C=x"],
        "labels": {"l": 1},
        "mem_limit": "${M:-1g}",
        "ports": ["${P}:80"],
        "volumes": [{"type": "volume", "source": "${D:-./d}", "target": "/d", "read_only": True, "volume": {}}],
        "depends_on": {"b": {"condition": "service_started", "required": True}},
        "gpus": [{"count": "all"}],
    }
    assert run(project, "config", "--no-interpolate", "--services").stdout.split() == ["b", "a"]


def test_lists_need_no_env_files_and_follow_dependencies(project: Path) -> None:
    (project / "compose.yaml").write_text(
        "services:\n  a: {image: x, depends_on: [z]}\n  z: {image: x, env_file: none.env}\n  m: {image: y}\n"
    )
    assert run(project, "config", "--services").stdout.split() == ["z", "a", "m"]
    assert run(project, "config", "--images").stdout.split() == ["x", "x", "y"]
    assert run(project, "config", "-q").returncode == 1


def test_remote_files_are_refused_with_the_way_to_get_them(project: Path) -> None:
    (project / "compose.yaml").write_text("include:\n  - https://example.com/x/y.git#main:sub\nservices: {}\n")
    done = run(project, "config")
    assert (done.returncode, "compose.yaml:2:5" in done.stderr) == (1, True)
    assert "git clone -b main https://example.com/x/y.git" in done.stderr
    assert "./y/sub/compose.yaml" in done.stderr
    assert "not fetched" in run(project, "-f", "oci://example.com/a:b", "config").stderr


def test_a_reference_in_a_later_env_file_finds_its_own_lines_first(project: Path) -> None:
    (project / "compose.yaml").write_text('services: {a: {image: x, env_file: [a.env, b.env], environment: {P: "$F$H"}}}\n')
    (project / "a.env").write_text("E=1\nG=7\n")
    (project / "b.env").write_text("E=9\nF=$E\nH=$G\n")
    for flags in ([], ["--env-file", "a.env", "--env-file", "b.env"]):
        shown = json.loads(run(project, *flags, "config", "--format", "json").stdout)["services"]["a"]["environment"]
        assert (shown["F"], shown["H"]) == ("9", "7")
    assert shown["P"] == "97"
