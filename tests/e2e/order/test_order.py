"""``depends_on`` with conditions, health checks, and ``--wait``: who starts when, and what is said when somebody does not get well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, Row, rows

pytestmark = pytest.mark.root
BOX = "image: busybox:latest, network_mode: none, init: true"
SLEEPER = f"{BOX}, command: sleep 99"
SICK = "healthcheck: {test: exit 1, interval: 100ms, timeout: 2s, retries: 2}"


def state(row: Row) -> tuple[str, str, int]:
    return row.state, row.health, row.code


def test_who_needs_health_waits_for_it(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  db:
    {{{BOX}, volumes: [v:/v], command: [sh, -c, "sleep 0.5; touch /v/ready; sleep 99"],
    healthcheck: {{test: [CMD, test, -f, /v/ready], interval: 100ms, timeout: 2s, retries: 50}}}}
  web: {{{BOX}, volumes: [v:/v], command: [sh, -c, "test -f /v/ready && sleep 99"], depends_on: {{db: {{condition: service_healthy}}}}}}
volumes: {{v: }}
""")
    up = pycompose(directory, "up", "-d").err
    said = ("db-1  Started", "db-1  Waiting", "db-1  Healthy", "web-1  Starting", "web-1  Started")
    places = [up.index(f" Container demo-{text}\n") for text in said]
    assert places == sorted(places)
    assert {n: state(r) for n, r in rows(pycompose, directory).items()} == {"db-1": ("running", "healthy", 0), "web-1": ("running", "", 0)}
    assert "(healthy)" in pycompose(directory, "ps", "--format", "{{.Status}}", "db").out


def test_who_needs_health_in_vain_is_not_started(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  db: {{{SLEEPER}, {SICK}}}
  web: {{{SLEEPER}, depends_on: {{db: {{condition: service_healthy}}}}}}
  opt: {{{SLEEPER}, depends_on: {{db: {{condition: service_healthy, required: false}}}}}}
  other: {{{SLEEPER}}}
""")
    up = pycompose(directory, "up", "-d", ok=False)
    assert up.code == 1
    assert "dependency failed to start: container demo-db-1 is unhealthy\n" in up.err
    assert 'Skipped: optional dependency "db" failed to start' in up.err
    assert {n: state(r) for n, r in rows(pycompose, directory).items()} == {
        "db-1": ("running", "unhealthy", 0), "web-1": ("created", "", 0), "opt-1": ("running", "", 0), "other-1": ("running", "", 0),
    }  # fmt: skip
    attached = pycompose(directory, "up", ok=False)
    assert (attached.code, attached.out) == (1, "Attaching to db-1, opt-1, other-1, web-1\n")


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        (
            'command: [sh, -c, "exit 3"], healthcheck: {test: "true", interval: 5s}',
            "dependency failed to start: container demo-db-1 exited (3)",
        ),
        ("command: sleep 99", "dependency failed to start: container demo-db-1 has no healthcheck configured"),
        (
            "command: sleep 99, healthcheck: {disable: true}",
            "dependency failed to start: container demo-db-1 has no healthcheck configured",
        ),
    ],
)
def test_a_dependency_that_cannot_get_healthy(pycompose: CommandLine, stack: Callable[[str], Path], dependency: str, message: str) -> None:
    directory = stack(
        f"services:\n  db: {{{BOX}, {dependency}}}\n  web: {{{SLEEPER}, depends_on: {{db: {{condition: service_healthy}}}}}}\n"
    )
    up = pycompose(directory, "up", "-d", ok=False)
    assert (up.code, message in up.err) == (1, True), up.err
    assert rows(pycompose, directory)["web-1"].state == "created"


def test_who_needs_a_job_done(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  job: {{{BOX}, command: [sh, -c, "sleep 0.3; exit $$CODE"], environment: [CODE]}}
  web: {{{SLEEPER}, depends_on: {{job: {{condition: service_completed_successfully}}}}}}
  opt: {{{SLEEPER}, depends_on: {{job: {{condition: service_completed_successfully, required: false}}}}}}
""")
    failed = pycompose(directory, "up", "-d", ok=False, CODE="7")
    assert failed.code == 1
    assert 'service "job" didn\'t complete successfully: exit 7\n' in failed.err
    assert 'Skipped: optional dependency "job" didn\'t complete successfully: exit 7' in failed.err
    assert {n: (r.state, r.code) for n, r in rows(pycompose, directory).items()} == {
        "job-1": ("exited", 7), "web-1": ("created", 0), "opt-1": ("running", 0),
    }  # fmt: skip
    done = pycompose(directory, "up", "-d", CODE="0").err
    assert done.index("demo-job-1  Exited") < done.index("demo-web-1  Started")
    assert {n: (r.state, r.code) for n, r in rows(pycompose, directory).items()} == {
        "job-1": ("exited", 0), "web-1": ("running", 0), "opt-1": ("running", 0),
    }  # fmt: skip


def test_probes_come_faster_during_the_start_period_only(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    check = 'test: "true", interval: 60s, timeout: 5s'
    directory = stack(f"services:\n  a: {{{SLEEPER}, healthcheck: {{{check}, start_period: 30s, start_interval: 100ms}}}}\n")
    pycompose(directory, "up", "--wait", "--wait-timeout", "20")
    assert rows(pycompose, directory)["a-1"].health == "healthy"
    stack(f"services:\n  a: {{{SLEEPER}, healthcheck: {{{check}, start_interval: 100ms}}}}\n")
    refused = pycompose(directory, "up", "-d", ok=False)
    assert refused.code == 1
    assert "healthcheck.start_interval requires healthcheck.start_period to be set" in refused.err


@pytest.mark.parametrize(
    ("service", "message", "expected"),
    [
        (f"{SLEEPER}, healthcheck: {{test: exit 1, interval: 60s, start_period: 60s}}", "application not healthy after 1s", ("running", "starting", 0)),
        (f"{SLEEPER}, {SICK}", "container demo-a-1 is unhealthy", ("running", "unhealthy", 0)),
        (f'{BOX}, command: "true"', "container demo-a-1 exited (0)", ("exited", "", 0)),
        (f'{BOX}, command: [sh, -c, "exit 5"]', "container demo-a-1 exited (5)", ("exited", "", 5)),
    ],
)  # fmt: skip
def test_wait_fails_and_leaves_what_runs(
    pycompose: CommandLine, stack: Callable[[str], Path], service: str, message: str, expected: tuple[str, str, int]
) -> None:
    directory = stack(f"services:\n  a: {{{service}}}\n  b: {{{SLEEPER}}}\n")
    timeout = ("--wait-timeout", "1") if "after" in message else ()
    up = pycompose(directory, "up", "--wait", *timeout, ok=False)
    assert up.code == 1
    assert f"\n{message}\n" in up.err
    seen = rows(pycompose, directory)
    assert (state(seen["a-1"]), seen["b-1"].state) == (expected, "running")


def test_wait_is_content_with_jobs_that_others_need(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  job: {{{BOX}, command: "true"}}
  web: {{{SLEEPER}, depends_on: {{job: {{condition: service_completed_successfully}}}}}}
""")
    up = pycompose(directory, "up", "--wait").err
    assert " Container demo-job-1  Exited\n" in up
    assert " Container demo-web-1  Healthy\n" in up
