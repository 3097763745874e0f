"""Attached ``up`` and ``logs -f``: what is shown, when it ends, and what signals do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from .conftest import Project

pytestmark = pytest.mark.root
Make = Callable[[str], Project]

TALKERS = """
services:
  web:
    image: busybox
    command: sh -c 'echo hello; echo err >&2; sleep 1; printf nonl; exit 5'
    depends_on: [db]
  db:
    image: busybox
    command: sh -c 'echo line1; sleep 2; printf last'
    deploy: {replicas: 2}
"""
STUBBORN = """
services:
  web:
    image: busybox
    command: sh -c 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.1; done'
    depends_on: [db]
  db:
    image: busybox
    command: sh -c 'trap "echo no" TERM; echo up; while :; do sleep 0.1; done'
    stop_grace_period: 60s
"""


def test_prefixes_streams_and_ends(project: Make) -> None:
    here = project(TALKERS)
    done = here.run("up")
    lines = done.stdout.splitlines()
    assert lines[0] == "Attaching to db-1, db-2, web-1"
    assert sorted(lines[1:]) == [
        "db-1   | last",
        "db-1   | line1",
        "db-1 exited with code 0",
        "db-2   | last",
        "db-2   | line1",
        "db-2 exited with code 0",
        "web-1  | hello",
        "web-1  | nonl",
        "web-1 exited with code 5",
    ]
    assert lines.index("web-1  | nonl") < lines.index("web-1 exited with code 5")
    assert "web-1  | err" in done.stderr.splitlines()
    assert " Container prefixesstreamsandends" not in done.stdout
    assert re.search(r" Container \S+-web-1  Created\n", done.stderr)
    assert "Starting" not in done.stderr


def test_only_named_services_are_shown_and_waited_for(project: Make) -> None:
    here = project(TALKERS.replace("sleep 2", "sleep 60"))
    done = here.run("up", "--no-log-prefix", "web")
    assert done.stdout.splitlines() == ["Attaching to web-1", "hello", "nonl", "web-1 exited with code 5"]
    assert sorted(here.states().values()) == ["exited", "running", "running"]


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["--abort-on-container-exit"], 5),
        (["--abort-on-container-failure"], 5),
        (["--exit-code-from", "web"], 5),
        (["--exit-code-from", "db"], 143),
    ],
    ids=lambda v: "".join(v) if isinstance(v, list) else str(v),
)
def test_the_end_of_one_ends_all(project: Make, flags: list[str], code: int) -> None:
    here = project(
        "services:\n  web: {image: busybox, command: sh -c 'sleep 0.5; exit 5'}\n"
        "  db: {image: busybox, command: sh -c 'trap \"exit 143\" TERM; while :; do sleep 0.1; done'}\n"
    )
    done = here.run("up", *flags, code=code)
    assert "Aborting on container exit..." in done.stderr
    assert set(here.states().values()) == {"exited"}


def test_the_first_interrupt_stops_the_second_kills(project: Make) -> None:
    here = project(STUBBORN)
    command = here.start("up").until(r"web-1  \| up").signal().until("web-1 exited").until(r"db-1   \| no").signal()
    assert command.end(20) == 130
    assert "Gracefully Stopping... press Ctrl+C again to force" in command.text
    assert "web-1  | bye\n" in command.text
    assert "db-1 exited with code 137" in command.text
    assert set(here.states().values()) == {"exited"}


def test_an_interrupt_stops_named_services_only(project: Make) -> None:
    here = project(STUBBORN)
    command = here.start("up", "web").until(r"web-1  \| up").signal()
    assert command.end(20) == 130
    assert {name.split("-")[-2]: state for name, state in here.states().items()} == {"web": "exited", "db": "running"}


def test_an_interrupt_in_the_middle_leaves_what_up_can_finish(project: Make) -> None:
    here = project(STUBBORN)
    assert here.start("up", "-d").until("Starting").signal().end(20) == 130
    here.run("up", "-d")
    assert set(here.states().values()) == {"running"}


def test_a_restarting_container_is_said_to_restart(project: Make) -> None:
    here = project("services:\n  web: {image: busybox, restart: always, command: sh -c 'echo once; exit 3'}\n")
    command = here.start("up").until(r"exited with code 3 \(restarting\)[^$]*exited with code 3 \(restarting\)").signal()
    assert command.end(20) == 130
    assert command.text.count("web-1  | once") >= 2


def test_logs_follow_replicas_that_come_later(project: Make) -> None:
    here = project("services:\n  web: {image: busybox, stop_grace_period: 0s, command: sh -c 'echo up; sleep 1000'}\n")
    here.run("up", "-d")
    following = here.start("logs", "-f").until(r"web-1  \| up")
    here.run("up", "-d", "--scale", "web=2")
    following.until(r"web-2  \| up")
    here.run("stop", "-t", "0")
    assert following.end() == 0
    assert "web-2 exited with code 137" in following.text


def test_logs_choose(project: Make) -> None:
    here = project(TALKERS)
    here.run("up")
    whole = here.run("logs").stdout
    assert sorted(whole.splitlines()) == sorted(
        ["web-1  | hello", "web-1  | err", "web-1  | nonl", *(f"db-{n}   | {text}" for n in (1, 2) for text in ("line1", "last"))]
    )
    assert here.run("logs", "--no-log-prefix", "-n", "1", "web").stdout == "nonl\n"
    assert here.run("logs", "--no-log-prefix", "--index", "2", "db").stdout == "line1\nlast\n"
    assert re.fullmatch(r"web-1  \| \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z nonl\n", here.run("logs", "-t", "--tail", "1", "web").stdout)
    assert here.run("logs", "--since", "0s").stdout == ""
    assert here.run("logs", "--until", "1h").stdout == ""
