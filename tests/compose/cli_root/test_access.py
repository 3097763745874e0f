"""``run``, ``exec``, ``cp``, ``attach`` and what shows containers: codes, streams, terminals."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import tarfile
import time
from collections.abc import Callable

import pytest

from .conftest import Project

pytestmark = pytest.mark.root
Make = Callable[[str], Project]

STACK = """
services:
  web:
    image: busybox
    init: true
    command: sleep 1000
    depends_on: [db]
    ports: ["127.0.0.1:18080:80", "5353:53/udp"]
    volumes: ["data:/data"]
    stop_grace_period: 0s
  db:
    image: busybox
    command: sleep 1000
    deploy: {replicas: 2}
    stop_grace_period: 0s
volumes: {data: {}}
"""


def on_terminal(project: Project, *arguments: str, typed: bytes, until: bytes, size: tuple[int, int] = (33, 101)) -> tuple[int, bytes]:
    """Run a command on a terminal of ours, type when it has said something; its exit code and what the terminal showed."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    process = subprocess.Popen(
        project.argv(*arguments),
        cwd=project.directory,
        env=project.host.environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:
                break
        if typed and until in shown:
            os.write(master, typed)
            typed = b""
    os.close(master)
    return process.wait(10), shown


def test_run_gives_streams_and_codes(project: Make) -> None:
    here = project(STACK)
    done = here.run("run", "--rm", "--no-deps", "web", "sh", "-c", "cat; echo bad >&2; exit 9", stdin="through\n", code=9)
    assert (done.stdout, done.stderr.splitlines()[-1]) == ("through\n", "bad")
    assert here.run("run", "--rm", "--no-deps", "web", "nonexistent", code=127).stderr.endswith("executable file not found in $PATH\n")
    assert here.run("run", "--rm", "--no-deps", "-e", "A=1", "-w", "/tmp", "web", "sh", "-c", "echo $A $PWD").stdout == "1 /tmp\n"
    assert here.states() == {}


def test_run_starts_dependencies_and_leaves_without_rm(project: Make) -> None:
    here = project(STACK)
    container = here.run("run", "-d", "--name", "job", "-l", "a=b", "web", "true").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", container)
    states = here.states()
    assert sorted(s for n, s in states.items() if n != "job") == ["running", "running"]
    assert not any("-web-1" in name for name in states)
    assert here.ids()["job"] == container


def test_run_on_a_terminal(project: Make) -> None:
    here = project(STACK)
    code, shown = on_terminal(
        here,
        "run",
        "--rm",
        "--no-deps",
        "web",
        "sh",
        "-c",
        "stty size; tty; read x; echo got $x; exit 3",
        typed=b"hello\r",
        until=b"33 101",
    )
    assert code == 3, shown
    assert b"33 101" in shown
    assert b"got hello" in shown


def test_detaching_from_a_run_leaves_it_running(project: Make) -> None:
    here = project(STACK)
    code, shown = on_terminal(
        here, "run", "--no-deps", "--name", "stays", "web", "sh", "-c", "echo ready; sleep 1000", typed=b"\x10\x11", until=b"ready"
    )
    assert code == 0, shown
    assert here.states()["stays"] == "running"


def test_exec(project: Make) -> None:
    here = project(STACK)
    here.run("up", "-d")
    assert here.run("exec", "-T", "web", "sh", "-c", "cat; exit 7", stdin="in\n", code=7).stdout == "in\n"
    assert (
        here.run("exec", "-T", "-e", "A=b", "-u", "65534", "-w", "/tmp", "web", "sh", "-c", "id -u; pwd; echo $A").stdout
        == "65534\n/tmp\nb\n"
    )
    here.run("exec", "-T", "web", "nonexistent", code=127)
    here.run("exec", "-T", "web", "/etc", code=126)
    here.run("exec", "-d", "web", "nonexistent", code=1)
    unknown = "unable to find user nobodyknown: no matching entries in passwd file"
    assert unknown in here.run("exec", "-T", "-u", "nobodyknown", "web", "id", code=1).stderr
    assert unknown in here.run("run", "--rm", "--no-deps", "-u", "nobodyknown", "web", "id", code=1).stderr
    names = {here.run("exec", "-T", "--index", i, "db", "cat", "/etc/hostname").stdout.strip() for i in ("1", "2")}
    assert len(names) == 2
    here.run("exec", "-d", "web", "touch", "/tmp/background")
    here.run("exec", "-T", "web", "sh", "-c", "while ! [ -e /tmp/background ]; do sleep 0.1; done")


def test_exec_on_a_terminal(project: Make) -> None:
    here = project(STACK)
    here.run("up", "-d", "db")
    code, shown = on_terminal(
        here, "exec", "db", "sh", "-c", "sleep 0.5; stty size; tty; read x; echo got $x; exit 4", typed=b"hi\r", until=b"/dev/pts"
    )
    assert code == 4, shown
    assert b"33 101" in shown
    assert b"got hi" in shown


def test_exec_needs_what_runs(project: Make) -> None:
    here = project(STACK)
    here.run("up", "-d", "db")
    here.run("pause", "db")
    assert "is paused" in here.run("exec", "-T", "db", "true", code=1).stderr
    here.run("unpause", "db")
    assert 'service "db" is not running container #9' in here.run("exec", "-T", "--index", "9", "db", "true", code=1).stderr


def test_copies(project: Make) -> None:
    here = project(STACK)
    here.run("up", "-d")
    local = here.directory
    (local / "tree" / "sub").mkdir(parents=True)
    (local / "tree" / "sub" / "file").write_text("content")
    (local / "tree" / "link").symlink_to("/etc/passwd")
    here.run("cp", "tree", "web:/tmp")
    here.run("cp", "tree/.", "web:/data")
    here.run("cp", "tree/sub/file", "web:/tmp/renamed")
    found = here.run("exec", "-T", "web", "sh", "-c", "cat /tmp/tree/sub/file /data/sub/file /tmp/renamed; ls -l /tmp/tree").stdout
    assert found.startswith("contentcontentcontent")
    assert "link -> /etc/passwd" in found
    here.run("cp", "web:/tmp/tree", "back")
    assert (local / "back" / "sub" / "file").read_text() == "content"
    here.run("cp", "web:/tmp/renamed", ".")
    assert (local / "renamed").read_text() == "content"
    assert "no such directory" in here.run("cp", "tree/sub/file", "web:/nowhere/", code=1).stderr
    assert "Could not find the file" in here.run("cp", "web:/nowhere", ".", code=1).stderr
    here.run("cp", "-", "web:/tmp", stdin="")
    here.run("cp", "-", "web:/tmp", stdin="no archive", code=1)
    raw = subprocess.run(
        here.argv("cp", "web:/etc/passwd", "-"), cwd=local, env=here.host.environment, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        assert tar.getnames() == ["passwd"]


def test_copies_go_to_every_replica(project: Make) -> None:
    here = project(STACK)
    here.run("up", "-d", "db")
    (here.directory / "file").write_text("x")
    here.run("cp", "file", "db:/tmp/all")
    here.run("cp", "--index", "2", "file", "db:/tmp/second")
    found = [here.run("exec", "-T", "--index", i, "db", "ls", "/tmp").stdout.split() for i in ("1", "2")]
    assert found == [["all"], ["all", "second"]]


def test_what_shows_containers(project: Make) -> None:
    here = project(STACK)
    here.run("up", "-d")
    rows = [json.loads(line) for line in here.run("ps", "--format", "json").stdout.splitlines()]
    web = next(r for r in rows if r["Service"] == "web")
    assert (web["State"], web["Command"], web["LocalVolumes"]) == ("running", '"sleep 1000"', "1")
    assert next(p for p in web["Publishers"] if p["TargetPort"] == 80) == {
        "URL": "127.0.0.1",
        "TargetPort": 80,
        "PublishedPort": 18080,
        "Protocol": "tcp",
    }
    assert here.run("port", "web", "80").stdout == "127.0.0.1:18080\n"
    assert here.run("port", "--protocol", "udp", "web", "53").stdout == "0.0.0.0:5353\n"
    assert "no port 81/tcp for container" in here.run("port", "web", "81", code=1).stderr
    assert here.run("ps", "--services").stdout == "db\nweb\n"
    assert [line.split()[-2:] for line in here.run("top", "db").stdout.splitlines()[1:]] == [["sleep", "1000"]] * 2
    usage = [json.loads(line) for line in here.run("stats", "--no-stream", "--format", "json").stdout.splitlines()]
    assert all(re.fullmatch(r"\d+\.\d\d%", u["CPUPerc"]) and int(u["PIDs"]) >= 1 for u in usage)
    assert [i["Repository"] for i in json.loads(here.run("images", "--format", "json").stdout)] == ["busybox"] * 3
    listed = {p["Name"]: p for p in json.loads(here.run("ls", "--format", "json").stdout)}
    name = web["Project"]
    assert listed[name] == {"Name": name, "Status": "running(3)", "ConfigFiles": str(here.directory / "compose.yaml")}
    assert here.run("volumes", "-q").stdout == f"{name}_data\n"


def test_commit_and_export(project: Make) -> None:
    here = project(STACK)
    here.run("up", "-d", "web")
    here.run("exec", "-T", "web", "sh", "-c", "echo kept > /kept")
    made = here.run("commit", "-m", "kept it", "web", "kept:1").stdout.strip()
    assert made.startswith("sha256:")
    here.run("export", "-o", "root.tar", "web")
    with tarfile.open(here.directory / "root.tar") as tar:
        assert "kept" in tar.getnames()
    assert "cannot be found" not in here.run("image", "inspect", "kept:1").stderr
    here.run("image", "rm", "kept:1")


def test_wait_gives_the_last_code(project: Make) -> None:
    here = project("services:\n  a: {image: busybox, command: sh -c 'sleep 2; exit 4'}\n")
    here.run("up", "-d")
    done = here.run("wait", "a", code=4)
    assert re.fullmatch(r'container "[0-9a-f]{64}" exited with status code 4\n', done.stdout)


def test_attach_shows_and_types(project: Make) -> None:
    here = project("services:\n  a: {image: busybox, stdin_open: true, tty: true, command: sh -c 'while read x; do echo got $$x; done'}\n")
    here.run("up", "-d")
    code, shown = on_terminal(here, "attach", "--detach-keys", "ctrl-x", "a", typed=b"one\rtwo\r\x18", until=b"")
    assert code == 1, shown
    assert b"read escape sequence" in shown
    assert b"got one" in here.run("logs").stdout.encode()
    assert set(here.states().values()) == {"running"}


def test_attach_ends_with_the_containers_code(project: Make) -> None:
    here = project("services:\n  a: {image: busybox, command: sh -c 'sleep 2; echo out; exit 4'}\n")
    here.run("up", "-d")
    assert here.run("attach", "--no-stdin", "a", code=4).stdout == "out\n"


def test_two_commands_at_once_wait_for_each_other(project: Make) -> None:
    here = project(STACK)
    first, second = here.start("up", "-d"), here.start("up", "-d")
    assert (first.end(), second.end()) == (0, 0), first.text + second.text
    assert sorted(here.states().values()) == ["running"] * 3
    assert sum("Created" in c.text for c in (first, second)) == 1
