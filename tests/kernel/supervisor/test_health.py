"""Health checks as Docker runs them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from runtime.spec import HealthcheckSpec, ImageConfig
from runtime.state import Health

pytestmark = pytest.mark.root


def check(command: str, **values: Any) -> HealthcheckSpec:
    return HealthcheckSpec(test=("CMD-SHELL", command), **{"interval": 0.1, "timeout": 5.0, "retries": 2, **values})


def test_starting_then_healthy(lab: Any) -> None:
    container = lab.run("sleep", "60", healthcheck=check("echo fine; test -e /ready"))
    assert lab.state(container).health.status == Health.STARTING
    with open(f"/proc/{lab.state(container).pid}/root/ready", "w"):
        pass
    assert lab.wait(container, "healthy")["health"] == "healthy"
    assert lab.state(container).health.last_output == "fine\n"
    assert "health_status: healthy" in [e["action"] for e in lab.events(container)]


def test_unhealthy_after_the_retries_and_healthy_again(lab: Any) -> None:
    container = lab.run("sleep", "60", healthcheck=check("echo bad; test -e /ready"))
    assert lab.wait(container, "healthy")["health"] == "unhealthy"
    health = lab.state(container).health
    assert health.failing_streak >= 2 and health.last_exit_code == 1 and health.last_output == "bad\n"
    with open(f"/proc/{lab.state(container).pid}/root/ready", "w"):
        pass
    lab.until(lambda: lab.state(container).health.status == Health.HEALTHY)
    assert lab.state(container).health.failing_streak == 0


def test_failures_in_the_start_period_do_not_count(lab: Any) -> None:
    container = lab.run("sleep", "60", healthcheck=check("false", start_period=1.0, start_interval=0.1, interval=0.1, retries=1))
    time.sleep(0.6)
    health = lab.state(container).health
    assert health.status == Health.STARTING and health.failing_streak == 0 and health.last_exit_code == 1
    assert lab.wait(container, "healthy")["health"] == "unhealthy"


def test_the_start_interval_finds_readiness_sooner(lab: Any) -> None:
    began = time.monotonic()
    container = lab.run("sleep", "60", healthcheck=check("true", interval=30.0, start_period=10.0, start_interval=0.1))
    assert lab.wait(container, "healthy")["health"] == "healthy" and time.monotonic() - began < 5


def test_a_probe_that_takes_too_long_is_killed_with_its_children(lab: Any) -> None:
    container = lab.run("sleep", "60", healthcheck=check("echo begun; sleep 77 & sleep 88", timeout=0.3, retries=1))
    assert lab.wait(container, "healthy")["health"] == "unhealthy"
    health = lab.state(container).health
    assert health.last_exit_code == -1
    assert health.last_output == "Health check exceeded timeout (0.3s): begun\n"
    lab.call("pause", container)
    assert _in_container(lab, container) == ["sleep 60"]
    lab.call("unpause", container)


def test_no_more_than_four_kilobytes_of_output(lab: Any) -> None:
    container = lab.run("sleep", "60", healthcheck=check("seq 1 100000"))
    lab.wait(container, "healthy")
    assert len(lab.state(container).health.last_output) <= 4096


def test_a_program_that_is_not_there_is_unhealthy(lab: Any) -> None:
    container = lab.run("sleep", "60", healthcheck=HealthcheckSpec(test=("CMD", "/nowhere"), interval=0.1, retries=1))
    assert lab.wait(container, "healthy")["health"] == "unhealthy"
    assert lab.state(container).health.last_exit_code == -1 and "nowhere" in lab.state(container).health.last_output


def test_the_images_check_and_shell_are_inherited(lab: Any) -> None:
    inherited = HealthcheckSpec(test=("CMD-SHELL", "exit 0"), interval=0.1)
    image = ImageConfig(environment=("PATH=/bin",), healthcheck=inherited, shell=("/bin/sh", "-ec"))
    container = lab.run("sleep", "60", image=image)
    assert lab.wait(container, "healthy")["health"] == "healthy"
    disabled = lab.run("sleep", "60", image=image, healthcheck=HealthcheckSpec(test=("NONE",)))
    assert lab.wait(disabled, "running_or_healthy")["health"] == "none"


def test_no_probe_while_paused_and_none_left_at_the_end(lab: Any) -> None:
    container = lab.run(script="while :; do sleep 0.05; done", healthcheck=check("echo x >>/probes"))
    lab.wait(container, "healthy")
    upper = f"{lab.paths.container('supervised', container)}/upper/probes"
    lab.call("pause", container)
    time.sleep(0.2)
    before = os.path.getsize(upper)
    time.sleep(0.4)
    assert os.path.getsize(upper) == before
    lab.call("unpause", container)
    lab.until(lambda: os.path.getsize(upper) > before)
    lab.call("stop", container, timeout=0)
    assert lab.state(container).health.status == Health.UNHEALTHY


def test_probes_go_on_after_the_worker_was_killed(lab: Any) -> None:
    container = lab.run("sleep", "60", healthcheck=check("test -e /ready", timeout=30.0, retries=1000))
    time.sleep(0.3)
    os.kill(lab.worker(), 9)
    with open(f"/proc/{lab.state(container).pid}/root/ready", "w"):
        pass
    assert lab.wait(container, "healthy")["health"] == "healthy"


def test_no_zombies(lab: Any) -> None:
    container = lab.run("sleep", "60", healthcheck=check("true", interval=0.02))
    lab.wait(container, "healthy")
    time.sleep(0.5)
    lab.call("pause", container)
    for pid in lab.chain():  # paused, nothing new comes up; what had ended is reaped, if not at once on a busy machine
        lab.until(lambda pid=pid: lab.zombies_of(pid) == [])
    lab.call("unpause", container)


def _in_container(lab: Any, container: str) -> list[str]:
    from runtime import cgroups

    path = f"{lab.cgroup_parent}/supervised/{container}"
    return [Path(f"/proc/{p}/cmdline").read_text().replace("\0", " ").strip() for p in cgroups.find(path).pids()]
