"""Starts, ends, restarts, stops and waits, as Docker has them."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from typing import Any

import pytest

from runtime.errors import LaunchError, RuntimeFailure
from runtime.spec import ImageConfig, RestartPolicy, VolumeMount
from runtime.state import Status

pytestmark = pytest.mark.root


def test_the_exit_code_is_the_programs_own(lab: Any) -> None:
    container = lab.run(script="exit 3")
    assert lab.wait(container)["exit_code"] == 3
    state = lab.state(container)
    assert state.status == Status.EXITED and state.finished_at > state.started_at > 0 and state.pid == 0 and not state.oom_killed


def test_a_signal_gives_128_and_its_number(lab: Any) -> None:
    container = lab.run(script="trap 'kill -9 $$' TERM; kill -ABRT $$; sleep 9")
    assert lab.state(container).status == Status.RUNNING
    lab.call("kill", container, signal="SIGKILL")
    assert lab.wait(container)["exit_code"] == 137


@pytest.mark.parametrize(("command", "code"), [(("/nowhere",), 127), (("/etc/passwd",), 126)])
def test_what_cannot_be_executed_is_refused_with_dockers_code(lab: Any, command: tuple[str], code: int) -> None:
    container = lab.create(*command)
    with pytest.raises(LaunchError) as raised:
        lab.start(container)
    assert raised.value.exit_code == code
    state = lab.state(container)
    assert (state.status, state.exit_code, state.pid) == (Status.CREATED, code, 0) and state.error
    assert not lab.cgroups()


def test_starting_what_runs_changes_nothing(lab: Any) -> None:
    container = lab.run("sleep", "60")
    pid = lab.state(container).pid
    lab.start(container)
    assert lab.state(container).pid == pid


def test_fifty_starts_at_once_all_succeed(lab: Any) -> None:
    containers = [lab.create("sleep", "60") for _ in range(50)]
    threads = [threading.Thread(target=lab.start, args=(c,)) for c in containers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({lab.state(c).pid for c in containers if lab.state(c).status == Status.RUNNING}) == 50


def test_stop_sends_the_stop_signal_and_waits(lab: Any) -> None:
    container = lab.run(script="trap 'echo bye; exit 7' USR1; echo up; while :; do sleep 0.05; done", stop_signal="SIGUSR1")
    lab.until(lambda: lab.output(container) == [b"up"])
    lab.call("stop", container)
    assert lab.state(container).exit_code == 7 and lab.state(container).stopped_by_user
    assert lab.output(container) == [b"up", b"bye"]


def test_stop_kills_after_the_grace_period(lab: Any) -> None:
    container = lab.run(script="trap '' TERM; echo up; while :; do sleep 0.05; done")
    lab.until(lambda: lab.output(container))
    began = time.monotonic()
    lab.call("stop", container, timeout=0.3)
    assert lab.state(container).exit_code == 137
    assert 0.3 <= time.monotonic() - began < 3


def test_stopping_what_does_not_run_is_no_mistake(lab: Any) -> None:
    container = lab.create("true")
    lab.call("stop", container)
    assert lab.run("true") and lab.call("stop", container) == {}


def test_a_signal_reaches_the_program_and_it_goes_on(lab: Any) -> None:
    container = lab.run(script="trap 'echo caught' HUP; echo up; while :; do sleep 0.05; done")
    lab.until(lambda: lab.output(container))
    lab.call("kill", container, signal="HUP")
    lab.until(lambda: b"caught" in lab.output(container))
    assert lab.state(container).status == Status.RUNNING and not lab.state(container).stopped_by_user


def test_killing_what_does_not_run_is_refused(lab: Any) -> None:
    with pytest.raises(RuntimeFailure, match="not running"):
        lab.call("kill", lab.create("true"), signal="TERM")
    with pytest.raises(RuntimeFailure, match="invalid signal: SIGNOPE"):
        lab.call("kill", lab.run("sleep", "60"), signal="SIGNOPE")


def test_a_paused_container_does_nothing_until_it_is_unpaused(lab: Any) -> None:
    container = lab.run(script="while :; do echo x; sleep 0.02; done")
    lab.until(lambda: lab.output(container))
    lab.call("pause", container)
    assert lab.state(container).status == Status.PAUSED
    with pytest.raises(RuntimeFailure, match="is already paused"):
        lab.call("pause", container)
    time.sleep(0.1)
    before = len(lab.output(container))
    time.sleep(0.2)
    assert len(lab.output(container)) == before
    lab.call("unpause", container)
    lab.until(lambda: len(lab.output(container)) > before)
    with pytest.raises(RuntimeFailure, match="is not paused"):
        lab.call("unpause", container)


def test_stop_thaws_what_is_paused(lab: Any) -> None:
    container = lab.run(script="trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done")
    lab.until(lambda: lab.output(container))
    lab.call("pause", container)
    lab.call("stop", container)
    assert lab.state(container).exit_code == 5


def test_kill_ends_a_paused_container(lab: Any) -> None:
    container = lab.run("sleep", "60")
    lab.call("pause", container)
    lab.call("kill", container, signal="KILL")
    assert lab.state(container).exit_code == 137


def test_on_failure_restarts_as_often_as_allowed(lab: Any) -> None:
    container = lab.run(script="echo run; exit 4", restart=RestartPolicy(name="on-failure", maximum_retry_count=2))
    assert lab.wait(container)["exit_code"] == 4
    assert lab.state(container).restart_count == 2
    assert lab.output(container) == [b"run"] * 3


def test_on_failure_leaves_success_alone(lab: Any) -> None:
    container = lab.run(script="echo run", restart=RestartPolicy(name="on-failure"))
    assert lab.wait(container)["exit_code"] == 0
    assert lab.state(container).restart_count == 0


def test_always_restarts_until_the_user_stops_it(lab: Any) -> None:
    container = lab.run(script="echo run; exit 0", restart=RestartPolicy(name="always"))
    lab.until(lambda: lab.state(container).restart_count >= 2)
    lab.until(lambda: lab.state(container).status == Status.RESTARTING)
    lab.call("stop", container)
    assert lab.state(container).status == Status.EXITED
    runs = len(lab.output(container))
    time.sleep(1)
    assert len(lab.output(container)) == runs


def test_the_back_off_doubles(lab: Any) -> None:
    container = lab.run(script="date +%s%N >/dev/null; echo run; exit 1", restart=RestartPolicy(name="on-failure", maximum_retry_count=4))
    lab.wait(container)
    times = [line.time_ns / 1e9 for line in lab.logs(container)]
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert len(pauses) == 4
    for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.8), strict=True):
        assert least <= pause < least + 0.6


def test_a_killed_container_is_not_restarted(lab: Any) -> None:
    container = lab.run("sleep", "60", restart=RestartPolicy(name="unless-stopped"))
    lab.call("kill", container, signal="KILL")
    assert lab.wait(container)["exit_code"] == 137


def test_a_crash_is_restarted(lab: Any) -> None:
    container = lab.run("sleep", "60", restart=RestartPolicy(name="unless-stopped"))
    first = lab.state(container).pid
    os.kill(first, signal.SIGKILL)  # not by us, so it counts as a crash
    lab.until(lambda: lab.state(container).pid not in (0, first) and lab.state(container).status == Status.RUNNING)
    assert lab.state(container).restart_count == 1


def test_restart_keeps_the_container_and_renews_the_process(lab: Any) -> None:
    container = lab.run(script="echo run >>/kept; cat /kept; sleep 60")
    first = lab.state(container).pid
    lab.until(lambda: lab.output(container))
    lab.call("restart", container, timeout=0)
    assert lab.state(container).pid != first
    lab.until(lambda: lab.output(container) == [b"run", b"run", b"run"])


def test_wait_for_completion_and_for_a_start(lab: Any) -> None:
    container = lab.create(script="sleep 0.3; exit 9")
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda c=c: answers.append(lab.wait(container, c))) for c in ("started", "completed")]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert not answers
    lab.start(container)
    for thread in threads:
        thread.join()
    assert [a["status"] for a in answers] == ["running", "exited"] and answers[1]["exit_code"] == 9


def test_wait_gives_up_when_told_to(lab: Any) -> None:
    container = lab.run("sleep", "60")
    began = time.monotonic()
    answer = lab.call("wait", container, condition="exited", timeout=0.2)
    assert answer["reason"] == "timeout" and answer["status"] == "running" and time.monotonic() - began < 2


def test_removing_what_runs_is_refused(lab: Any) -> None:
    container = lab.run("sleep", "60")
    with pytest.raises(RuntimeFailure, match="running"):
        lab.call("remove", container)


def test_auto_remove_leaves_nothing(lab: Any) -> None:
    os.makedirs(f"{lab.paths.volumes}/{'a' * 64}/_data")
    volume = VolumeMount(volume="a" * 64, target="/data", anonymous=True)
    container = lab.run(script="echo hello", auto_remove=True, mounts=(volume,))
    lab.until(lambda: not os.path.exists(lab.paths.container("supervised", container)))
    assert not os.path.exists(f"{lab.paths.volumes}/{'a' * 64}")
    lab.until(lambda: not lab.cgroups())


def test_out_of_memory_is_told(lab: Any) -> None:
    from runtime.spec import Resources

    limits = Resources(memory=16 << 20, memory_swap=16 << 20)
    container = lab.run(script="x=x; while :; do x=$x$x; done", resources=limits)
    assert lab.wait(container, timeout=60)["exit_code"] == 137
    assert lab.state(container).oom_killed
    assert "oom" in [e["action"] for e in lab.events(container)]


def test_events_tell_the_whole_life(lab: Any) -> None:
    container = lab.run("sleep", "60", labels={"com.docker.compose.service": "web"})
    lab.call("stop", container, timeout=0)
    lab.call("remove", container)
    events = lab.events(container)
    assert [e["action"] for e in events] == ["create", "start", "kill", "die", "stop", "destroy"]
    assert {e["service"] for e in events} == {"web"}
    assert events[3]["attributes"]["exitCode"] == "137" and events[2]["attributes"]["signal"] == "15"


def test_subscribers_hear_events_as_they_happen(lab: Any) -> None:
    from runtime.supervisor.client import Client

    container = lab.create("sleep", "60")
    with Client("supervised", lab.paths) as client:
        stream = client.subscribe([container])
        threading.Timer(0.2, lab.start, [container]).start()
        assert [next(stream)["action"] for _ in range(2)] == ["create", "start"]


def test_the_image_decides_the_stop_signal(lab: Any) -> None:
    image = ImageConfig(environment=("PATH=/bin",), stop_signal="SIGINT")
    container = lab.run(script="trap 'exit 21' INT; echo up; while :; do sleep 0.02; done", image=image)
    lab.until(lambda: lab.output(container))
    lab.call("stop", container)
    assert lab.state(container).exit_code == 21
