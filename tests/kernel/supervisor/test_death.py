"""Killed at any moment: containers go on, nothing they say is lost, exit codes are right, and the pair is back by itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest

from runtime.spec import RestartPolicy
from runtime.state import Status
from runtime.supervisor import client, spawn

pytestmark = pytest.mark.root

CONTAINERS, LINES = 20, 300
TALK = "i=0; while [ $i -lt {lines} ]; do echo line-$i; echo other-$i >&2; i=$((i+1)); usleep 5000; done; sleep {rest}; exit {code}"


def talkers(lab: Any, rest: int = 0) -> list[str]:
    containers = [lab.create(script=TALK.format(lines=LINES, code=n, rest=rest)) for n in range(CONTAINERS)]
    threads = [threading.Thread(target=lab.start, args=(c,)) for c in containers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return containers


def assert_nothing_is_missing(lab: Any, containers: list[str]) -> None:
    for code, container in enumerate(containers):
        assert lab.wait(container, timeout=60)["exit_code"] == code
        assert lab.output(container) == [b"line-%d" % n for n in range(LINES)]
        assert lab.output(container, "stderr") == [b"other-%d" % n for n in range(LINES)]


VICTIMS = {
    "worker": [2], "keeper": [1], "guard": [0], "keeper and worker": [1, 2], "guard and worker": [0, 2], "guard and keeper": [0, 1],
    "worker, then keeper": [2, 1], "worker, then guard": [2, 0], "keeper, then guard": [1, 0],
}  # fmt: skip


@pytest.mark.parametrize("victims", VICTIMS.values(), ids=VICTIMS.keys())
def test_up_to_two_of_three_are_killed_at_once(lab: Any, victims: list[int]) -> None:
    containers = talkers(lab)
    for _ in range(3):
        time.sleep(0.2)
        before = lab.chain()
        for victim in victims:
            os.kill(before[victim], signal.SIGKILL)
        began = time.monotonic()
        lab.until(lambda b=before: lab.chain() != b)
        assert time.monotonic() - began < 2
    assert_nothing_is_missing(lab, containers)


def test_all_are_killed_and_the_next_call_finds_everything(lab: Any) -> None:
    """Whoever ends while nobody of ours lives takes along what is in its FIFO, so these end later."""
    containers = talkers(lab, rest=5)
    for _ in range(2):
        time.sleep(0.2)
        lab.kill_all()
        time.sleep(0.1)
        lab.call("ping")
    assert_nothing_is_missing(lab, containers)


def test_an_exit_while_all_are_dead_is_seen(lab: Any) -> None:
    container = lab.run(script="sleep 0.5; exit 3")
    lab.kill_all()
    pid = lab.state(container).pid
    lab.until(lambda: lab.has_ended(pid))
    assert lab.wait(container)["exit_code"] in (3, 255)  # 255 once its foster parent has collected it: nobody can know then
    assert lab.state(container).status == Status.EXITED


def test_an_exit_while_keeper_and_worker_are_dead_is_known(lab: Any) -> None:
    """The guard is stopped while both die and the container ends, then goes on: nothing may be missing."""
    container = lab.run(script="echo first; sleep 0.4; echo last; exit 6")
    guard, keeper, worker = lab.chain()
    pid = lab.state(container).pid
    os.kill(guard, signal.SIGSTOP)
    for victim in (worker, keeper):
        os.kill(victim, signal.SIGKILL)
    lab.until(lambda: lab.has_ended(pid))
    os.kill(guard, signal.SIGCONT)
    assert lab.wait(container)["exit_code"] == 6
    assert lab.output(container) == [b"first", b"last"]


def test_a_call_under_way_is_answered_by_the_successor(lab: Any) -> None:
    container = lab.run(script="sleep 1; exit 8")
    answers: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(lab.wait(container)))
    waiting.start()
    time.sleep(0.3)
    os.kill(lab.worker(), signal.SIGKILL)
    waiting.join()
    assert answers[0]["exit_code"] == 8


def test_callers_do_not_notice_that_the_keeper_died(lab: Any) -> None:
    container = lab.run(script="sleep 1; exit 8")
    with client.Client("supervised", lab.paths) as connection:
        connection.call("ping")
        os.kill(lab.chain()[1], signal.SIGKILL)
        assert connection.call("wait", id=container, condition="exited", timeout=20)["exit_code"] == 8


def test_the_restart_policy_outlives_the_worker(lab: Any) -> None:
    container = lab.run(script="echo run; sleep 0.3; exit 1", restart=RestartPolicy(name="always"))
    for _ in range(3):
        time.sleep(0.2)
        os.kill(lab.worker(), signal.SIGKILL)
    runs = len(lab.output(container))
    lab.until(lambda: len(lab.output(container)) >= runs + 2)


def test_killed_amid_starts_leaves_no_stray(lab: Any) -> None:
    """Whatever the moment: in the end a container runs as its state says, or does not run at all."""
    containers = [lab.create("sleep", "60") for _ in range(12)]
    threads = [threading.Thread(target=lab.start, args=(c,)) for c in containers]
    lab.call("ping")
    for thread in threads:
        thread.start()
    for _ in range(5):
        time.sleep(0.02)
        os.kill(lab.worker(), signal.SIGKILL)
    for thread in threads:
        thread.join()
    states = [lab.state(c) for c in containers]
    assert [s.status for s in states] == [Status.RUNNING] * len(containers)
    for container in containers:
        lab.call("stop", container, timeout=0)
    lab.until(lambda: not lab.cgroups())


def test_twenty_at_once_start_one_supervisor(lab: Any) -> None:
    threads = [threading.Thread(target=lab.call, args=("ping",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lab.chain()) == 3


def test_it_is_its_own_session_and_holds_nothing_of_the_caller(lab: Any) -> None:
    lab.call("ping")
    for pid in lab.chain():
        assert os.getsid(pid) != os.getsid(0) and os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null" == os.readlink(f"/proc/{pid}/fd/1")


def test_containers_inherit_no_descriptor(lab: Any) -> None:
    container = lab.run("ls", "/proc/self/fd")
    lab.wait(container)
    assert lab.output(container) == [b"0", b"1", b"2", b"3"]  # 3 is ls reading the directory


def test_it_leaves_when_nothing_is_left(lab: Any) -> None:
    container = lab.run("true")
    lab.wait(container)
    began = time.monotonic()
    lab.until(lambda: not lab.processes())
    assert 3 < time.monotonic() - began < 10
    assert lab.wait(container)["status"] == "exited"  # and comes back with what it knew


def test_a_broken_start_is_explained(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawn, "__file__", "/nowhere/spawn.py")
    with pytest.raises(client.RuntimeFailure, match="does not stay up") as raised:
        lab.call("ping")
    assert "supervisor.log" in (raised.value.hint or "")
    monkeypatch.undo()
    for name in ("sock", "lock"):
        os.unlink(f"{lab.paths.project_run('supervised')}/supervisor.{name}")


def test_subscribers_miss_nothing_when_the_worker_dies(lab: Any) -> None:
    container = lab.create(script="sleep 0.2; exit 1", restart=RestartPolicy(name="on-failure", maximum_retry_count=6))
    seen: list[dict[str, Any]] = []

    def listen() -> None:
        with client.Client("supervised", lab.paths) as connection:
            for event in connection.subscribe([container]):
                seen.append(event)
                if [e["action"] for e in seen].count("die") == 7:
                    return

    listening = threading.Thread(target=listen)
    listening.start()
    lab.until(lambda: lab.processes())
    time.sleep(0.5)
    lab.start(container)
    for _ in range(3):
        time.sleep(0.4)
        os.kill(lab.worker(), signal.SIGKILL)
    listening.join(60)
    assert not listening.is_alive()
    assert [e["action"] for e in seen] == ["create", *["start", "die"] * 7]
    assert [e["action"] for e in lab.events(container)] == ["create", *["start", "die"] * 7]
