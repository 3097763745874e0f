"""What containers write, kept, rotated, read and followed, on the real kernel."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import pytest

from runtime.errors import RuntimeFailure
from runtime.spec import LogSpec
from runtime.supervisor.logs_follow import LogFollower
from runtime.supervisor.logs_format import generations

pytestmark = pytest.mark.root


def test_both_streams_in_order_and_a_last_line_without_newline(lab: Any) -> None:
    container = lab.run(script="echo one; sleep 0.05; echo two >&2; sleep 0.05; printf three")
    lab.wait(container)
    lines = lab.logs(container)
    assert [(line.stream, line.text, line.partial) for line in lines] == [
        ("stdout", b"one", False), ("stderr", b"two", False), ("stdout", b"three", True),
    ]  # fmt: skip
    assert lines[0].time_ns < lines[1].time_ns < lines[2].time_ns


def test_a_flood_is_kept_whole_and_rotated(lab: Any) -> None:
    options = {"max-size": "100k", "max-file": "3"}
    container = lab.run(script="seq 1 100000", logging=LogSpec(options=options))
    lab.wait(container)
    kept = generations(lab.logs_directory(container))
    assert len(kept) == 3 and kept[0] > 0
    lines = [int(t) for t in lab.output(container)]
    assert lines == list(range(lines[0], 100001)) and 20_000 < len(lines) < 80_000
    size = sum(os.path.getsize(f"{lab.logs_directory(container)}/{n}") for n in os.listdir(lab.logs_directory(container)))
    assert size < 3 * (125_000 + 66_000)


def test_everything_is_kept_without_limits(lab: Any) -> None:
    container = lab.run(script="seq 1 200000", logging=LogSpec(options={"max-size": "-1"}))
    lab.wait(container)
    assert lab.output(container) == [b"%d" % n for n in range(1, 200001)]


def test_a_flood_does_not_starve_others(lab: Any) -> None:
    flood = lab.run("yes", logging=LogSpec(options={"max-size": "1m", "max-file": "1"}))
    lab.until(lambda: lab.logs(flood, tail=1))
    quiet = lab.create(script="echo quick")
    began = time.monotonic()
    lab.start(quiet)
    lab.wait(quiet)
    assert lab.output(quiet) == [b"quick"] and time.monotonic() - began < 3


def test_a_fork_bomb_does_not_starve_others(lab: Any) -> None:
    from runtime.spec import Resources

    lab.run(script="f() { f | f & }; f; sleep 60", resources=Resources(pids=200, cpus=0.5))
    quiet = lab.run(script="echo quick")
    lab.wait(quiet)
    assert lab.output(quiet) == [b"quick"]


def test_driver_none_takes_and_keeps_nothing(lab: Any) -> None:
    container = lab.run(script="seq 1 100000; exit 2", logging=LogSpec(driver="none"))
    assert lab.wait(container)["exit_code"] == 2
    assert os.listdir(lab.logs_directory(container)) == []


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (LogSpec(driver="gelf"), "logging driver gelf is not supported"),
        (LogSpec(options={"max-size": "ten"}), 'invalid value for "max-size"'),
        (LogSpec(options={"max-file": "0"}), 'invalid value for "max-file"'),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_start(lab: Any, log: LogSpec, message: str) -> None:
    container = lab.create("true", logging=log)
    with pytest.raises(RuntimeFailure, match=message):
        lab.start(container)


def test_any_user_may_write_to_dev_stdout(lab: Any) -> None:
    container = lab.run(script="echo by name >/dev/stdout; echo wrong >/dev/stderr", user="bob")
    assert lab.wait(container)["exit_code"] == 0
    assert (lab.output(container), lab.output(container, "stderr")) == ([b"by name"], [b"wrong"])


def test_tail_since_and_until(lab: Any) -> None:
    container = lab.run(script="for i in 1 2 3 4 5 6; do echo $i; sleep 0.02; done")
    lab.wait(container)
    lines = lab.logs(container)
    middle = lines[3].time_ns
    assert [line.text for line in lab.logs(container, tail=2)] == [b"5", b"6"]
    assert [line.text for line in lab.logs(container, since=middle)] == [b"4", b"5", b"6"]
    assert [line.text for line in lab.logs(container, until=middle)] == [b"1", b"2", b"3", b"4"]
    assert [line.text for line in lab.logs(container, until=middle, tail=1)] == [b"4"]


def test_following_sees_every_line_of_every_container(lab: Any) -> None:
    containers = [
        lab.create(script="seq 1 2000; printf end", logging=LogSpec(options={"max-size": "2k", "max-file": "1000"})) for _ in range(3)
    ]
    follower = LogFollower()
    for container in containers:
        follower.add(container, lab.logs_directory(container))
    threading.Thread(target=lambda: [lab.start(c) for c in containers]).start()
    seen: dict[str, list[bytes]] = {c: [] for c in containers}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(len(s) < 2000 for s in seen.values()):
        follower.wait(0.5)
        for key, line in follower.ready():
            seen[key].append(line.text)
    for container in containers:
        lab.wait(container)
        seen[container] += [line.text for _, line in follower.finish(container)]
        assert seen[container] == [*(b"%d" % n for n in range(1, 2001)), b"end"]
    follower.close()


def test_following_from_the_last_lines(lab: Any) -> None:
    container = lab.run(script="seq 1 10; sleep 0.5; echo new; sleep 5")
    lab.until(lambda: len(lab.output(container)) == 10)
    follower = LogFollower()
    follower.add("c", lab.logs_directory(container), tail=2)
    assert [line.text for _, line in follower.ready()] == [b"9", b"10"]
    lab.until(lambda: follower.wait(1) and [line.text for _, line in follower.ready()] == [b"new"])
    follower.close()


def test_syslog_gets_the_lines_and_they_are_kept_too(lab: Any) -> None:
    path = f"{lab.directory}/log"
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    receiver.settimeout(10)
    options = {"syslog-address": f"unixgram://{path}", "tag": "app/{{.Name}}", "syslog-facility": "local3"}
    container = lab.run(script="echo hello; echo wrong >&2", logging=LogSpec(driver="syslog", options=options))
    received = sorted(receiver.recv(4096) for _ in range(2))
    assert [r[:5] for r in received] == [b"<155>", b"<158>"]
    assert received[0].endswith(b"app/supervised-c1-1: wrong") and received[1].endswith(b": hello")
    lab.wait(container)
    assert lab.output(container) == [b"hello"]
    receiver.close()
