"""Terminals, standard input, and attaching to both."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from runtime.supervisor.client import Attachment, Client

pytestmark = pytest.mark.root


def attach(lab: Any, container: str, **values: Any) -> Attachment:
    return Client("supervised", lab.paths).attach(container, **values)


def everything(attachment: Attachment) -> dict[str, bytes]:
    found = {"stdout": b"", "stderr": b""}
    while (pieces := attachment.receive()) is not None:
        for stream, data in pieces:
            found[stream] += data
    attachment.close()
    return found


def expect(attachment: Attachment, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        pieces = attachment.receive()
        assert pieces is not None, seen
        seen += b"".join(data for _, data in pieces)
    return seen


def test_output_from_the_first_byte_when_attached_before_the_start(lab: Any) -> None:
    container = lab.create(script="seq 1 50000; echo wrong >&2")
    attachment = attach(lab, container)
    lab.start(container)
    found = everything(attachment)
    assert found["stdout"] == b"".join(b"%d\n" % n for n in range(1, 50001)) and found["stderr"] == b"wrong\n"
    assert lab.wait(container)["exit_code"] == 0
    assert len(lab.output(container)) == 50000


def test_output_with_the_log_driver_none(lab: Any) -> None:
    from runtime.spec import LogSpec

    container = lab.create(script="seq 1 50000", logging=LogSpec(driver="none"))
    attachment = attach(lab, container)
    lab.start(container)
    assert len(everything(attachment)["stdout"].splitlines()) == 50000


def test_input_and_its_end(lab: Any) -> None:
    container = lab.create("wc", "-c", stdin_open=True)
    attachment = attach(lab, container, stdin_once=True)
    lab.start(container)
    attachment.send(b"x" * 1_000_000)
    attachment.close_stdin()
    assert everything(attachment)["stdout"] == b"1000000\n"
    assert lab.wait(container)["exit_code"] == 0


def test_input_sent_before_the_start_arrives(lab: Any) -> None:
    container = lab.create("cat", stdin_open=True)
    attachment = attach(lab, container, stdin_once=True)
    attachment.send(b"early\n")
    attachment.close_stdin()
    lab.start(container)
    assert everything(attachment)["stdout"] == b"early\n"


def test_detaching_leaves_the_input_open(lab: Any) -> None:
    container = lab.run("cat", stdin_open=True)
    first = attach(lab, container)
    first.send(b"one\n")
    expect(first, b"one")
    first.close()
    second = attach(lab, container)
    second.send(b"two\n")
    expect(second, b"two")
    assert lab.state(container).status == "running"
    second.close()


def test_without_stdin_open_there_is_an_end_of_file(lab: Any) -> None:
    container = lab.run("cat")
    assert lab.wait(container)["exit_code"] == 0


def test_a_terminal_is_one_and_has_a_size(lab: Any) -> None:
    container = lab.create(script="sleep 0.3; tty; stty size; read x; echo got $x; stty size", tty=True, stdin_open=True)
    lab.call("resize", container, rows=33, cols=111)
    attachment = attach(lab, container)
    assert attachment.terminal
    lab.start(container)
    seen = expect(attachment, b"33 111\r\n")
    assert b"/dev/" in seen
    lab.call("resize", container, rows=44, cols=122)
    attachment.send(b"hello\r")
    assert b"44 122" in expect(attachment, b"44 122")
    assert everything(attachment)["stderr"] == b""
    assert lab.wait(container)["exit_code"] == 0
    assert lab.output(container)[-2:] == [b"got hello\r", b"44 122\r"]


def test_a_terminal_outlives_the_worker(lab: Any) -> None:
    container = lab.run(script="while read x; do echo got $x; done", tty=True, stdin_open=True)
    attachment = attach(lab, container)
    attachment.send(b"one\r")
    expect(attachment, b"got one")
    attachment.close()
    os.kill(lab.worker(), 9)
    again = attach(lab, container)
    again.send(b"two\r")
    expect(again, b"got two")
    again.close()
    assert lab.state(container).status == "running"


def test_a_reader_that_lags_holds_the_container_up_and_loses_nothing(lab: Any) -> None:
    container = lab.create(script="seq 1 1000000")
    attachment = attach(lab, container)
    lab.start(container)
    time.sleep(1)
    assert lab.state(container).status == "running"
    assert everything(attachment)["stdout"] == b"".join(b"%d\n" % n for n in range(1, 1_000_001))


def test_a_reader_that_vanishes_frees_the_container(lab: Any) -> None:
    container = lab.create(script="seq 1 1000000")
    attachment = attach(lab, container)
    lab.start(container)
    time.sleep(0.5)
    attachment.close()
    assert lab.wait(container)["exit_code"] == 0
