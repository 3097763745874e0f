"""The command line as a user meets it, in processes of its own: codes, messages, spellings, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = "name: demo\nservices:\n  web:\n    image: busybox\n    depends_on: [db]\n  db:\n    image: busybox\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    return tmp_path


def pycompose(place: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYCOMPOSE_ROOT": str(place / "root"),
        "PYCOMPOSE_RUN": str(place / "run"),
    }
    return subprocess.run(
        [sys.executable, "-m", "compose", *arguments],
        cwd=place,
        env={**base, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upp"], "did you mean up?"),
        (["up", "--detahc"], "did you mean --detach?"),
        (["--progres", "plain", "ps"], "did you mean --progress?"),
        (["-p", "Demo", "ps"], 'invalid project name "Demo"'),
        (["ps", "wbe"], "no such service: wbe"),
        (["ps", "wbe"], "did you mean web?"),
        (["ps", "--status-filter"], "unknown flag"),
        (["ps", "--filter", "name=x"], "unknown filter"),
        (["ps", "--format", "{{frob .Name}}"], "'frob' is not supported"),
        (["logs", "--tail", "some"], "invalid --tail"),
        (["logs", "--since", "yesterdayish"], "invalid time"),
        (["exec", "web"], "missing"),
        (["exec", "web", "true"], 'service "web" is not running'),
        (["exec", "--index", "2", "web", "true"], 'service "web" is not running container #2'),
        (["port", "web", "80"], 'service "web" is not running'),
        (["wait", "web"], 'no containers for project "demo"'),
        (["cp", "a", "b"], "unknown copy direction"),
        (["cp", "web:/a", "db:/b"], "copying between services is not supported"),
        (["cp", "web:/a", "b"], 'no container found for service "web"'),
        (["scale", "web"], "invalid scale specifier: web"),
        (["up", "-d", "--scale", "web=x"], "is not a number"),
        (["stop", "-t", "-1"], "invalid timeout"),
        (["run", "-p", "80:80", "-P", "web"], "--service-ports and --publish are incompatible"),
        (["run", "-p", "eighty", "web"], "--publish"),
        (["run", "-v", "x", "web"], "mount path must be absolute"),
        (["run", "-t", "web"], "the input device is not a TTY"),
        (["run", "nope"], "no such service: nope"),
        (["up", "--pull", "sometimes"], "invalid pull policy"),
        (["up", "--exit-code-from", "nope"], "no such service: nope"),
        (["up", "--attach", "nope"], "cannot attach to services not included in up: nope"),
        (
            ["up", "--wait", "--attach", "web"],
            "--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies",
        ),
        (["up", "-d", "--abort-on-container-exit"], "--detach cannot be combined with"),
        (["up", "--build", "--no-build"], "--build and --no-build are incompatible"),
        (["up", "--force-recreate", "--no-recreate"], "--force-recreate and --no-recreate are incompatible"),
        (["up", "--no-recreate", "-V"], "--no-recreate and --renew-anon-volumes are incompatible"),
        (["up", "--always-recreate-deps", "--no-recreate"], "--always-recreate-deps and --no-recreate are incompatible"),
        (["up", "--attach", "web", "--attach-dependencies"], "cannot combine --attach and --attach-dependencies"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_what_is_refused_ends_with_1_and_says_why(place: Path, arguments: list[str], message: str) -> None:
    done = pycompose(place, *arguments)
    assert done.returncode == 1, done
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stdout == ""


def test_no_file_is_said_so(tmp_path: Path) -> None:
    done = pycompose(tmp_path, "ps")
    assert (done.returncode, "no configuration file provided: not found" in done.stderr) == (1, True)


def test_a_mistake_in_the_file_is_shown_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: busybox\n    prots: [80]\n")
    done = pycompose(tmp_path, "config")
    assert done.returncode == 1
    assert "compose.yaml:4:5" in done.stderr
    assert "    prots: [80]" in done.stderr
    assert "\n    |     ^\n" in done.stderr
    assert "ports" in done.stderr


def test_errors_as_json(place: Path) -> None:
    done = pycompose(place, "--progress", "json", "ps", "nope")
    record = json.loads(done.stderr)
    assert (record["error"], record["message"]) == (True, "no such service: nope")


def test_reading_without_anything_there(place: Path) -> None:
    assert pycompose(place, "ps").stdout == "NAME      IMAGE     COMMAND   SERVICE   CREATED   STATUS    PORTS\n"
    assert pycompose(place, "ps", "--format", "json").stdout == ""
    assert pycompose(place, "ls").stdout == "NAME                STATUS              CONFIG FILES\n"
    assert pycompose(place, "ls", "--format", "json").stdout == "[]\n"
    assert pycompose(place, "volumes").stdout == "DRIVER    VOLUME NAME\n"
    assert pycompose(place, "images").stdout.startswith("CONTAINER           REPOSITORY          TAG ")
    assert pycompose(place, "logs").stdout == pycompose(place, "top").stdout == ""


def test_version() -> None:
    from compose import __version__

    here = Path.cwd()
    assert pycompose(here, "version", "--short").stdout == f"{__version__}\n"
    assert pycompose(here, "--version").stdout == pycompose(here, "version").stdout == f"pycompose version v{__version__}\n"
    assert json.loads(pycompose(here, "version", "-f", "json").stdout) == {"version": f"v{__version__}"}


def test_help_lists_every_command_and_imports_none(place: Path) -> None:
    from compose.cli.app import COMMANDS

    shown = pycompose(place, "--help").stdout
    for name, lazy in COMMANDS.items():
        assert (f"\n  {name} " in shown) != lazy.hidden


def test_every_command_has_its_help(place: Path) -> None:
    import importlib

    import click

    from compose.cli.app import COMMANDS

    for name, lazy in COMMANDS.items():
        module, attribute = lazy.target.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        assert "Usage: pycompose" in command.get_help(click.Context(command, info_name=f"pycompose {name}"))


def test_dry_run_and_plan_print_the_same_and_change_nothing(place: Path) -> None:
    plan = pycompose(place, "plan", PYTHONHASHSEED="0")
    dry = pycompose(place, "up", "-d", "--dry-run")
    after = pycompose(place, "--dry-run", "up", "-d")
    assert plan.returncode == dry.returncode == after.returncode == 0, dry.stderr
    assert plan.stdout == dry.stdout == after.stdout
    assert '[net:default] → db-1.create  CreateContainer  "not there"' in plan.stdout
    assert "image:busybox.pull  PullImage" in plan.stdout
    assert " DRY-RUN MODE -  Container demo-web-1  Started" in dry.stderr
    assert not (place / "root" / "projects").exists()


def test_flags_can_be_switched_off_as_in_go(place: Path) -> None:
    assert pycompose(place, "ps", "--all=false").returncode == 0
    assert pycompose(place, "ps", "--orphans=false").returncode == 0
    assert pycompose(place, "logs", "-n=5").returncode == 0
    assert pycompose(place, "ps", "--all=maybe").returncode == 1


def test_a_closed_reader_ends_the_command_quietly(place: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m compose --help | head -c 10 >/dev/null; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=place,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_completion_lists_commands_and_flags(place: Path) -> None:
    shown = pycompose(place, _PYCOMPOSE_COMPLETE="bash_complete", COMP_WORDS="pycompose st", COMP_CWORD="1").stdout
    assert {"start", "stats", "stop"} <= {line.split(",")[-1] for line in shown.splitlines()}


@pytest.mark.parametrize(
    "arguments", [["exec", "web", "true"], ["port", "web", "80"], ["events", "--until", "0s"], ["volumes"], ["top"]], ids=" ".join
)
def test_commands_about_what_is_there_start_no_event_loop(place: Path, arguments: list[str]) -> None:
    program = (
        "import sys\nfrom compose.cli.app import run\nrun(sys.argv[1:])\n"
        "sys.stderr.write('heavy:' + ','.join(sorted({'asyncio', 'anyio', 'networkx', 'pyroute2', 'yaml', 'subprocess'} & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "-p", "demo", *arguments],
        cwd=place.parent,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYCOMPOSE_ROOT": str(place / "root"), "PYCOMPOSE_RUN": str(place / "run")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].endswith("heavy:"), done.stderr
