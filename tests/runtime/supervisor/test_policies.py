"""Decisions without effects: restarts, health, waits, signals, failures as data, the loop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from runtime.errors import Conflict, KernelError, LaunchError, RuntimeFailure
from runtime.spec import HealthcheckSpec, RestartPolicy
from runtime.state import Health, HealthState, ProcessState, Status
from runtime.supervisor import health_policy
from runtime.supervisor.conditions import is_decided
from runtime.supervisor.facts import signal_name, signal_number
from runtime.supervisor.health_policy import Check, judged, next_probe, resolve_check
from runtime.supervisor.loop import WRITE, Loop
from runtime.supervisor.protocol import failure_from, failure_message
from runtime.supervisor.reaping import exit_code
from runtime.supervisor.restart import next_delay, should_restart

NOW = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("name", "code", "count", "stopped", "expected"),
    [
        ("no", 1, 0, False, False),
        ("always", 0, 99, False, True),
        ("always", 1, 0, True, False),
        ("unless-stopped", 0, 0, False, True),
        ("unless-stopped", 0, 0, True, False),
        ("on-failure", 0, 0, False, False),
        ("on-failure", 1, 99, False, True),
    ],
)
def test_restart_policies(name: str, code: int, count: int, stopped: bool, expected: bool) -> None:
    assert should_restart(RestartPolicy(name=name), code, count, stopped_by_user=stopped) is expected  # type: ignore[arg-type]


def test_on_failure_counts() -> None:
    policy = RestartPolicy(name="on-failure", maximum_retry_count=3)
    assert [should_restart(policy, 1, n, stopped_by_user=False) for n in range(5)] == [True, True, True, False, False]


def test_the_back_off_doubles_to_a_minute_and_begins_anew_after_ten_seconds() -> None:
    delays, delay = [], 0.0
    for _ in range(12):
        delay = next_delay(delay, 0.5)
        delays.append(delay)
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8] and delays[-1] == 60.0
    assert next_delay(60.0, 10.0) == 0.1


def test_a_check_is_merged_field_by_field() -> None:
    image = HealthcheckSpec(test=("CMD", "probe"), interval=7.0, retries=5)
    found = resolve_check(HealthcheckSpec(timeout=2.0, interval=0.0), image, ())
    assert found == Check(argv=("probe",), interval=7.0, timeout=2.0, retries=5, start_period=0.0, start_interval=5.0)


def test_a_shell_check_uses_the_images_shell() -> None:
    spec = HealthcheckSpec(test=("CMD-SHELL", "a || b"))
    for shell, expected in (((), ("/bin/sh", "-c", "a || b")), (("/bin/bash", "-lc"), ("/bin/bash", "-lc", "a || b"))):
        found = resolve_check(spec, None, shell)
        assert found is not None and found.argv == expected


@pytest.mark.parametrize("own", [HealthcheckSpec(test=("NONE",)), None])
def test_no_check(own: HealthcheckSpec | None) -> None:
    assert resolve_check(own, HealthcheckSpec(test=("CMD", "x")) if own else None, ()) is None


def test_health_turns_after_consecutive_failures_only() -> None:
    check, health = Check(argv=("x",), retries=2), HealthState(status=Health.STARTING)
    seen = []
    for code in (1, 0, 1, 0, 1, 1, 1, 0):
        health = judged(check, health, exit_code=code, output="", running_for=99, end=1)
        seen.append((str(health.status), health.failing_streak))
    assert seen == [
        ("starting", 1), ("healthy", 0), ("healthy", 1), ("healthy", 0), ("healthy", 1), ("unhealthy", 2), ("unhealthy", 3), ("healthy", 0),
    ]  # fmt: skip


def test_the_start_period_forgives_failures_until_the_first_success() -> None:
    check = Check(argv=("x",), retries=1, start_period=10)
    health = judged(check, HealthState(status=Health.STARTING), exit_code=1, output="", running_for=9.9, end=1)
    assert (health.status, health.failing_streak) == (Health.STARTING, 0)
    health = judged(check, health, exit_code=0, output="", running_for=5, end=1)
    assert judged(check, health, exit_code=1, output="", running_for=6, end=1).status == Health.UNHEALTHY


def test_probes_come_faster_while_starting() -> None:
    check = Check(argv=("x",), interval=30, start_period=10, start_interval=1)
    assert next_probe(check, HealthState(status=Health.STARTING), 5) == 1
    assert next_probe(check, HealthState(status=Health.STARTING), 10) == 30
    assert next_probe(check, HealthState(status=Health.HEALTHY), 5) == 30


def test_output_is_cut_to_its_end() -> None:
    health = judged(Check(argv=("x",)), HealthState(), exit_code=0, output="a" * 5000 + "z", running_for=0, end=1)
    assert len(health.last_output) == health_policy.LONGEST_OUTPUT and health.last_output.endswith("z")


@pytest.mark.parametrize(
    ("condition", "state", "expected"),
    [
        ("started", ProcessState(), False),
        ("started", ProcessState(status=Status.RUNNING), True),
        ("started", ProcessState(status=Status.EXITED), True),
        ("started", ProcessState(error="no such file"), True),
        ("healthy", ProcessState(status=Status.RUNNING, health=HealthState(status=Health.STARTING)), False),
        ("healthy", ProcessState(status=Status.RUNNING, health=HealthState(status=Health.UNHEALTHY)), True),
        ("healthy", ProcessState(status=Status.RESTARTING), False),
        ("running_or_healthy", ProcessState(status=Status.RUNNING, started_at=NOW - 600_000_000), True),
        ("running_or_healthy", ProcessState(status=Status.RUNNING, started_at=NOW - 400_000_000), False),
        ("running_or_healthy", ProcessState(status=Status.EXITED, started_at=NOW - 400_000_000), True),
        ("completed", ProcessState(status=Status.RUNNING), False),
        ("completed", ProcessState(status=Status.RESTARTING, exit_code=1), False),
        ("exited", ProcessState(status=Status.PAUSED), False),
        ("exited", ProcessState(status=Status.EXITED), True),
    ],
)
def test_conditions(condition: str, state: ProcessState, expected: bool) -> None:
    assert is_decided(condition, state, NOW) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15),
        ("term", 15),
        ("9", 9),
        ("KILL", 9),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMAX-1", signal.SIGRTMAX - 1),
        ("RTMIN", signal.SIGRTMIN),
    ],
)
def test_signals_are_read_as_docker_reads_them(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "SIGNOPE", "0", "99", "TERM+1", "_DFL"])
def test_other_signals_are_refused(text: str) -> None:
    with pytest.raises(RuntimeFailure, match="invalid signal"):
        signal_number(text)


def test_signal_names() -> None:
    assert (signal_name(15), signal_name(63)) == ("SIGTERM", "63")


def test_exit_codes() -> None:
    assert [exit_code(s) for s in (0, 3 << 8, 9, 15, 0x80 | 11)] == [0, 3, 137, 143, 139]


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeFailure("plain", hint="do this"),
        Conflict("taken"),
        LaunchError("exec", "not found", exit_code=127, errno=2),
        KernelError("mount", 13, "/x"),
    ],
    ids=lambda f: type(f).__name__,
)
def test_failures_come_over_the_wire_as_they_were(failure: RuntimeFailure) -> None:
    again = failure_from(failure_message(failure)["error"])  # type: ignore[arg-type]
    assert type(again) is type(failure) and str(again) == str(failure)
    assert vars(again) == {**vars(failure), "exit_code": failure.exit_code}


def test_an_unknown_failure_is_still_one() -> None:
    again = failure_from({"kind": "Path", "message": "x", "hint": "y"})
    assert type(again) is RuntimeFailure and again.hint == "y"


def test_the_loop_calls_timers_in_order_and_survives_a_mistake(capfd: pytest.CaptureFixture[str]) -> None:
    loop, seen = Loop(), list[str]()
    loop.after(0.02, lambda: seen.append("second"))
    loop.after(0.01, lambda: seen.append("first"))
    loop.after(0.005, lambda: 1 // 0)
    loop.after(0.015, lambda: seen.append("cancelled")).cancel()
    loop.after(0.03, loop.stop)
    loop.run()
    assert seen == ["first", "second"]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_the_loop_watches_changes_and_forgets() -> None:
    loop, seen = Loop(), list[str]()
    reading, writing = os.pipe()
    loop.watch(writing, lambda _: (seen.append("writable"), loop.forget(writing), os.write(writing, b"x")), WRITE)
    loop.watch(reading, lambda _: (seen.append("readable"), loop.stop()))
    loop.rebuild()
    loop.run()
    assert seen == ["writable", "readable"] and not loop.is_watched(writing)
    loop.forget(writing)
    os.close(reading)
    os.close(writing)


def test_what_stays_running_loads_little() -> None:
    """Every megabyte here is paid three times over by every project on a host."""
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[3]
    program = f"import sys; sys.path.append({str(root)!r}); import runtime.supervisor.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    heavy = {
        "asyncio",
        "subprocess",
        "logging",
        "pathlib",
        "shutil",
        "tempfile",
        "hashlib",
        "ssl",
        "threading",
        "ipaddress",
        "random",
        "urllib",
        "traceback",
    }
    assert heavy & set(done.stdout.split()) == set()
