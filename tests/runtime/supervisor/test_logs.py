"""The log on disk: writing, recovering, rotating, and every way of reading, without a container."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import RuntimeFailure
from runtime.spec import LogSpec
from runtime.supervisor.logs_format import RECORD, Rotation, generations, rotation
from runtime.supervisor.logs_reader import LONGEST_PIECE, LogReader, read
from runtime.supervisor.logs_writer import CHUNK, Discarded, LogWriter


class Pipes:
    """Two FIFOs as a container has them, and a log."""

    def __init__(self, directory: Path, limits: Rotation) -> None:
        self.logs = str(directory / "logs")
        self.limits = limits
        self.log = LogWriter(self.logs, limits)
        self.ends = [self._fifo(f"{directory}/{name}") for name in ("out", "err")]

    @staticmethod
    def _fifo(path: str) -> tuple[int, int]:
        os.mkfifo(path)
        return os.open(path, os.O_RDWR | os.O_NONBLOCK), os.open(path, os.O_RDWR)

    def write(self, data: bytes, stream: int = 0) -> None:
        os.write(self.ends[stream][1], data)
        while self.log.take(self.ends[stream][0], stream):
            self.log.rotate()

    def reopen(self) -> None:
        self.log.close()
        self.log = LogWriter(self.logs, self.limits)

    def close(self) -> None:
        self.log.close()
        for end in (e for pair in self.ends for e in pair):
            os.close(end)


@pytest.fixture
def pipes(tmp_path: Path) -> Iterator[Pipes]:
    made = Pipes(tmp_path, Rotation(size=0))
    yield made
    made.close()


def texts(pipes: Pipes, **choice: int) -> list[bytes]:
    return [line.text for line in read(pipes.logs, **choice)]


def test_lines_of_both_streams_in_order_of_arrival(pipes: Pipes) -> None:
    pipes.write(b"a\nb")
    pipes.write(b"x\n", 1)
    pipes.write(b"c\n")
    assert [(line.stream, line.text) for line in read(pipes.logs)] == [("stdout", b"a"), ("stderr", b"x"), ("stdout", b"bc")]


def test_an_unended_line_is_shown_at_the_end_as_partial(pipes: Pipes) -> None:
    pipes.write(b"prompt> ")
    assert [(line.text, line.partial) for line in read(pipes.logs)] == [(b"prompt> ", True)]


def test_a_line_that_a_run_left_open_ends_where_the_next_run_begins(pipes: Pipes) -> None:
    pipes.write(b"one\nlast")
    pipes.log.begin_run()
    pipes.write(b"first\n")
    pipes.write(b"second\n")
    assert texts(pipes) == [b"one", b"last", b"first", b"second"]
    assert texts(pipes, tail=3) == [b"last", b"first", b"second"]
    assert texts(pipes, tail=2) == [b"first", b"second"]


def test_who_reads_from_the_next_run_on_does_not_see_the_line_that_was_left_open(pipes: Pipes) -> None:
    pipes.write(b"last")
    reader = LogReader(pipes.logs)
    reader.seek_tail(0)
    pipes.log.begin_run()
    pipes.write(b"first\n")
    assert [line.text for line in reader.lines()] == [b"first"]


def test_a_very_long_line_comes_in_pieces(pipes: Pipes) -> None:
    for _ in range(10):
        pipes.write(b"x" * CHUNK)
    pipes.write(b"\nshort\n")
    lines = list(read(pipes.logs))
    assert b"".join(line.text for line in lines if line.partial or line.text == b"") == b"x" * CHUNK * 10
    assert lines[-1].text == b"short" and max(len(line.text) for line in lines) <= LONGEST_PIECE


def test_what_was_moved_but_not_indexed_is_found_again(pipes: Pipes) -> None:
    pipes.write(b"one\n")
    os.write(pipes.ends[0][1], b"two\n")
    os.splice(pipes.ends[0][0], pipes.log._data_file(0), CHUNK, offset_dst=4)  # and killed before the record
    pipes.reopen()
    pipes.write(b"three\n")
    assert texts(pipes) == [b"one", b"two", b"three"]


def test_a_torn_record_is_cut_off(pipes: Pipes) -> None:
    pipes.write(b"one\n")
    with open(f"{pipes.logs}/index.0", "ab") as file:
        file.write(b"\x01" * (RECORD.size - 5))
    pipes.reopen()
    pipes.write(b"two\n")
    assert texts(pipes) == [b"one", b"two"]


def test_a_failed_index_write_loses_nothing(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    pipes.write(b"one\n")
    real = os.write
    monkeypatch.setattr(
        os, "write", lambda fd, data: (_ for _ in ()).throw(OSError(28, "full")) if fd == pipes.log._index else real(fd, data)
    )
    with pytest.raises(OSError, match="full"):
        pipes.write(b"two\n")
    monkeypatch.undo()
    pipes.write(b"three\n")
    assert texts(pipes) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("files", [1, 2, 5])
def test_rotation_keeps_so_many_generations_and_no_cut_line(tmp_path: Path, files: int) -> None:
    pipes = Pipes(tmp_path, Rotation(size=1000, files=files))
    everything = b"".join(b"line %d\n" % n for n in range(2000))
    position, dice = 0, random.Random(files)
    while position < len(everything):
        length = dice.randint(1, 400)
        pipes.write(everything[position : position + length])
        position += length
    assert len(generations(pipes.logs)) == files
    found = texts(pipes)
    assert found == [b"line %d" % n for n in range(2000 - len(found), 2000)] and len(found) > 20
    pipes.close()


def test_a_reader_follows_through_rotations(tmp_path: Path) -> None:
    pipes = Pipes(tmp_path, Rotation(size=500, files=3))
    reader = LogReader(pipes.logs)
    seen: list[bytes] = []
    for n in range(1000):
        pipes.write(b"line %d\nhalf" % n if n % 3 else b"whole %d\n" % n, n % 2)
        if n % 5 == 0:
            seen += [line.text for line in reader.lines()]
    seen += [line.text for line in reader.lines()]
    assert [int(t.split()[-1]) for t in seen] == list(range(1000))
    pipes.close()


def test_a_reader_left_behind_goes_on_where_it_can(tmp_path: Path) -> None:
    pipes = Pipes(tmp_path, Rotation(size=500, files=2))
    reader = LogReader(pipes.logs)
    pipes.write(b"first\n")
    assert [line.text for line in reader.lines()] == [b"first"]
    for n in range(1000):
        pipes.write(b"line %d\n" % n)
    late = [line.text for line in reader.lines()]
    assert late[-1] == b"line 999"
    assert all(t.startswith(b"line ") for t in late)
    pipes.close()


Writes = st.lists(st.tuples(st.binary(min_size=1, max_size=30).map(lambda b: b.replace(b"\0", b"\n")), st.integers(0, 1)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(writes=Writes, tail=st.integers(0, 30), size=st.sampled_from([0, 40, 300]))
def test_every_way_of_reading_agrees(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[bytes, int]], tail: int, size: int
) -> None:
    pipes = Pipes(tmp_path_factory.mktemp("log"), Rotation(size=size, files=1000))
    for data, stream in writes:
        pipes.write(data, stream)
    whole = list(read(pipes.logs))
    for stream, name in enumerate(("stdout", "stderr")):
        written = b"".join(d for d, s in writes if s == stream)
        assert b"\n".join(line.text for line in whole if line.stream == name) == written.removesuffix(b"\n")
    ended = [line for line in whole if not line.partial]
    assert [line.text for line in read(pipes.logs, tail=tail)] == [line.text for line in whole][max(len(whole) - tail, 0) :]
    if ended:
        since = ended[len(ended) // 2].time_ns
        assert [line for line in read(pipes.logs, since=since) if not line.partial] == [line for line in ended if line.time_ns >= since]
        assert [line for line in read(pipes.logs, until=since) if not line.partial] == [line for line in ended if line.time_ns <= since]
    pipes.close()


def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    assert list(read(str(tmp_path / "nowhere"))) == []
    assert list(read(str(tmp_path / "nowhere"), tail=5)) == []


def test_a_discarded_log_takes_everything(tmp_path: Path) -> None:
    reading, writing = Pipes._fifo(f"{tmp_path}/fifo")
    log = Discarded()
    os.write(writing, b"x" * 1000)
    assert log.take(reading, 0) == 1000
    assert log.take(reading, 0) == 0
    log.close()
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Rotation(10_000_000, 3)),
        ({"max-size": "10k", "max-file": "1"}, Rotation(10_000, 1)),
        ({"max-size": "1.5m"}, Rotation(1_500_000, 3)),
        ({"max-size": "2GB"}, Rotation(2_000_000_000, 3)),
        ({"max-size": "512"}, Rotation(512, 3)),
        ({"max-size": "-1"}, Rotation(0, 3)),
    ],
)
def test_rotation_options(options: dict[str, str], expected: Rotation) -> None:
    assert rotation(LogSpec(options=options)) == expected


@pytest.mark.parametrize("options", [{"max-size": "x"}, {"max-size": "10q"}, {"max-file": "-1"}, {"max-file": "0"}, {"max-file": "two"}])
def test_bad_rotation_options_are_named(options: dict[str, str]) -> None:
    with pytest.raises(RuntimeFailure, match=next(iter(options))):
        rotation(LogSpec(options=options))
