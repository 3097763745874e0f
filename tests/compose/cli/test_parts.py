"""The command line's parts by themselves: names, times, lines, journals, progress, keys, tar streams."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from compose.cli import localtar, naming, output, progress, times
from compose.cli.images import split
from compose.cli.journal import Journal
from compose.cli.lines import LinePrinter
from compose.cli.options import GlobalOptions
from compose.cli.scanning import Patterns, compare, scan
from compose.cli.shortforms import ports, volumes
from compose.cli.terminal import DetachKeys
from compose.errors import ComposeError, UsageError
from compose.events import StepDone, StepError, StepProgress, StepStarted
from compose.plan import StartContainer, Step

NOW = 1_795_000_000 * 10**9
STEP = Step(
    id="web-1.start",
    operation=StartContainer(container="ab", name="p-web-1"),
    resource="Container p-web-1",
    doing="Starting",
    done="Started",
)


@pytest.mark.parametrize(
    ("content", "directory", "expected"),
    [
        ("services: {}\n", "My.Proj_x", "myproj_x"),
        ("name: shop\nservices: {}\n", "x", "shop"),
        ("name: 'shop' # the shop\nservices: {}\n", "x", "shop"),
        ('services: {}\nname: "shop"\n', "x", "shop"),
        ("name: ${SHOP}\n", "x", None),
        ("name: Shop\n", "x", None),
        ("name: a\nname: b\n", "x", None),
        ('{"name": "shop"}\n', "x", None),
        ("services:\n  a:\n    name: inner\n", "outer", "outer"),
        ("services: {}\n", "___", None),
    ],
)
def test_the_name_is_seen_without_yaml_or_left_to_the_loader(
    content: str, directory: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    place = tmp_path / directory
    place.mkdir()
    (place / "compose.yaml").write_text(content)
    (place / "sub").mkdir()
    monkeypatch.chdir(place / "sub")
    assert naming.plain_name(GlobalOptions()) == expected
    assert naming.plain_name(GlobalOptions(files=(str(place / "compose.yaml"),))) == expected


def test_flags_and_environment_name_a_project_before_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("name: shop\n")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "other")
    assert naming.plain_name(GlobalOptions()) == "other"
    assert naming.plain_name(GlobalOptions(project_name="flag")) == "flag"
    monkeypatch.delenv("COMPOSE_PROJECT_NAME")
    (tmp_path / ".env").write_text("export COMPOSE_PROJECT_NAME=third\n")
    assert naming.plain_name(GlobalOptions()) is None


def test_an_override_may_name_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    (tmp_path / "docker-compose.yml").write_text("name: shop\n")
    (tmp_path / "docker-compose.override.yml").write_text("name: mine\n")
    assert naming.plain_name(GlobalOptions()) == "mine"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42m", NOW - 42 * 60 * 10**9),
        ("1h30m", NOW - 5400 * 10**9),
        ("0s", NOW),
        ("1.5s", NOW - 1_500_000_000),
        ("1600000000", 1_600_000_000 * 10**9),
        ("1600000000.25", 1_600_000_000 * 10**9 + 250_000_000),
        ("2013-01-02T13:23:37Z", 1_357_133_017 * 10**9),
        ("2013-01-02T13:23:37.5+02:00", 1_357_125_817 * 10**9 + 500_000_000),
        ("2013-01-02T00:00:00Z", 1_357_084_800 * 10**9),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert times.moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "2013-13-01Tx", "5mm"])
def test_wrong_moments_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        times.moment(text, NOW)


def line(text: bytes, stream: str = "stdout", *, partial: bool = False, time_ns: int = 0) -> SimpleNamespace:
    return SimpleNamespace(text=text, stream=stream, partial=partial, time_ns=time_ns)


def test_prefixes_are_as_wide_as_the_widest(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    printer = LinePrinter(colour=True, prefix=True, timestamps=False, split=True)
    printer.register("a", "web-1")
    printer.line("a", line(b"hello"))
    printer.register("b", "database-1")
    printer.line("b", line(b"bad", "stderr"))
    printer.line("a", line(b"tail", partial=True))
    printer.finish("a")
    printer.notice("a", "exited with code 5")
    output.flush()
    found = capfdbinary.readouterr()
    assert found.out == b"web-1  | hello\nweb-1       | tail\nweb-1 exited with code 5\n"
    assert found.err == b"database-1  | bad\n"


def test_pieces_of_a_line_are_put_together(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    printer = LinePrinter(colour=False, prefix=False, timestamps=True, split=False)
    printer.register("a", "web-1")
    for piece in (line(b"one ", partial=True, time_ns=NOW), line(b"two ", partial=True, time_ns=NOW + 5), line(b"three", time_ns=NOW + 9)):
        printer.line("a", piece)
    output.flush()
    assert capfdbinary.readouterr().out == b"2026-11-18T11:06:40.000000000Z one two three\n"


def test_colours_cycle_after_ten(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.configure(ansi="always", json=False)
    try:
        printer = LinePrinter(colour=True, prefix=True, timestamps=False, split=False)
        for number in range(11):
            printer.register(str(number), f"s{number:02d}-1")
        for number in (0, 9, 10):
            printer.line(str(number), line(b"x"))
        output.flush()
    finally:
        output.configure(ansi="auto", json=False)
    shown = capfdbinary.readouterr().out.split(b"\n")
    assert [s.split(b"m")[0] for s in shown[:3]] == [b"\x1b[36", b"\x1b[34;1", b"\x1b[36"]


def test_a_journal_goes_on_over_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYCOMPOSE_ROOT", str(tmp_path))
    directory = tmp_path / "projects" / "demo"
    directory.mkdir(parents=True)
    file = directory / "events.jsonl"
    file.write_text('{"n":0}\n')
    journal = Journal("demo")
    assert list(journal.new()) == []
    with file.open("a") as out:
        out.write('{"n":1}\n{"n":')
    assert list(journal.new()) == [{"n": 1}]
    with file.open("a") as out:
        out.write("2}\n")
    file.rename(directory / "events.jsonl.1")
    file.write_text('{"n":3}\n')
    assert list(journal.new()) == [{"n": 2}, {"n": 3}]
    assert list(journal.new()) == []


def shown(mode: str, capfd: pytest.CaptureFixture[str]) -> str:
    report = progress.opened(GlobalOptions(progress=mode), "up")  # type: ignore[arg-type]
    with report:
        report.notes([("Container p-db-1", "Running")])
        report(StepStarted(step=STEP))
        report(StepProgress(resource="Image x", text="Pulling", current=5, total=10))
        report(StepDone(step=STEP, seconds=0.1))
    found = capfd.readouterr()
    assert found.out == ""
    return found.err


def test_plain_progress_is_a_line_per_transition(capfd: pytest.CaptureFixture[str]) -> None:
    assert shown("plain", capfd) == (
        " Container p-db-1  Running\n Container p-web-1  Starting\n Image x  Pulling\n Container p-web-1  Started\n"
    )


def test_json_progress(capfd: pytest.CaptureFixture[str]) -> None:
    records = [json.loads(text) for text in shown("json", capfd).splitlines()]
    assert records[-1] == {"id": "Container p-web-1", "status": "Done", "text": "Started"}
    assert records[2] == {"id": "Image x", "status": "Working", "text": "Pulling", "current": 5, "total": 10, "percent": 50}


def test_quiet_progress_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert shown("quiet", capfd) == ""


def test_live_progress_ends_with_everything_done(capfd: pytest.CaptureFixture[str]) -> None:
    screen = shown("tty", capfd).rsplit("\x1b[?25l", 1)[-1]
    assert "[+] up 2/3" in screen
    assert "Container p-web-1" in screen
    assert "Started" in screen
    assert screen.endswith("\x1b[?25h")


def test_a_warning_is_the_last_word(capfd: pytest.CaptureFixture[str]) -> None:
    report = progress.opened(GlobalOptions(progress="plain"), "down")
    report(StepStarted(step=STEP))
    report(StepProgress(resource=STEP.resource, text="Resource is still in use", warning=True))
    report(StepDone(step=STEP, seconds=0))
    assert capfd.readouterr().err == " Container p-web-1  Starting\n Container p-web-1  Resource is still in use\n"


def test_status_may_go_to_stdout(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_STATUS_STDOUT", "1")
    report = progress.opened(GlobalOptions(progress="plain"), "up")
    report(StepError(step=STEP, message="no"))
    assert capfd.readouterr() == (" Container p-web-1  Error\n", "")


@pytest.mark.parametrize(
    ("typed", "sent", "leaves"),
    [(b"hello", b"hello", False), (b"a\x10\x11b", b"a", True), (b"\x10x", b"\x10x", False), (b"\x10", b"", False)],
)
def test_detach_keys(typed: bytes, sent: bytes, leaves: bool) -> None:
    assert DetachKeys.parse("ctrl-p,ctrl-q").feed(typed) == (sent, leaves)


def test_detach_keys_over_several_reads() -> None:
    keys = DetachKeys.parse("ctrl-p,ctrl-q")
    assert keys.feed(b"\x10") == (b"", False)
    assert keys.feed(b"\x11") == (b"", True)
    with pytest.raises(UsageError):
        DetachKeys.parse("ctrl-ü")


def test_short_forms() -> None:
    assert [(p.target, p.published, p.host_ip, p.protocol) for p in ports(["127.0.0.1:53:53/udp", "80"])] == [
        (53, "53", "127.0.0.1", "udp"),
        (80, "", "", "tcp"),
    ]
    bind, named, anonymous = volumes(["./src:/app:ro", "data:/data", "/cache"], "/project")
    assert (bind.type, bind.source, bind.read_only, bind.create_host_path) == ("bind", "/project/src", True, True)
    assert (named.type, named.source, anonymous.type, anonymous.source) == ("volume", "data", "volume", "")


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("busybox", ("busybox", "latest")),
        ("localhost:5000/a/b", ("localhost:5000/a/b", "latest")),
        ("localhost:5000/a/b:v1", ("localhost:5000/a/b", "v1")),
        ("a@sha256:00", ("a", "<none>")),
        ("sha256:00", ("<none>", "<none>")),
    ],
)
def test_references_are_split(reference: str, parts: tuple[str, str]) -> None:
    assert split(reference) == parts


def stream(*members: tarfile.TarInfo) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w|") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    buffer.seek(0)
    return buffer


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0, mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size, made.mode = kind, link, size, mode
    return made


def test_a_copy_gets_its_new_name(tmp_path: Path) -> None:
    tar = stream(
        member("etc", tarfile.DIRTYPE, mode=0o755), member("etc/passwd", size=3), member("etc/self", tarfile.SYMTYPE, "/etc/passwd")
    )
    localtar.unpack(tar, str(tmp_path), "copy", keep_owner=False)
    assert (tmp_path / "copy" / "passwd").read_text() == "xxx"
    assert os.readlink(tmp_path / "copy" / "self") == "/etc/passwd"


@pytest.mark.parametrize(
    "members",
    [
        [member("a/../../outside", size=1)],
        [member("a", tarfile.DIRTYPE, mode=0o755), member("a/out", tarfile.SYMTYPE, ".."), member("a/out/outside", size=1)],
    ],
    ids=["dots", "through a link"],
)
def test_a_hostile_container_writes_nothing_elsewhere(members: list[tarfile.TarInfo], tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(ComposeError):
        localtar.unpack(stream(*members), str(inside), "a", keep_owner=False)
    assert not list(tmp_path.rglob("outside"))


def test_a_link_in_the_way_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("safe")
    (tmp_path / "copy").symlink_to(tmp_path / "victim")
    localtar.unpack(stream(member("file", size=2)), str(tmp_path), "copy", keep_owner=False)
    assert (tmp_path / "victim").read_text() == "safe"
    assert (tmp_path / "copy").read_text() == "xx"


def test_devices_and_special_bits_are_left_out(tmp_path: Path) -> None:
    localtar.unpack(stream(member("dev", tarfile.CHRTYPE), member("dev2", size=1, mode=0o4755)), str(tmp_path), "copy", keep_owner=False)
    assert (tmp_path / "copy").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("node_modules/", "node_modules/a/b.js", True),
        ("node_modules", "src/node_modules/a.js", False),
        ("**/node_modules", "src/node_modules/a.js", True),
        ("*.log", "a.log", True),
        ("*.log", "logs/a.log", False),
        ("**/*.log", "logs/a.log", True),
        ("a?c", "abc", True),
        ("a[!b]c", "abc", False),
        ("./dist", "dist/x", True),
        ("x", ".git/config", True),
        ("x", "file~", True),
    ],
)
def test_patterns_are_dockerignores(pattern: str, path: str, ignored: bool) -> None:
    assert Patterns.of([pattern]).ignores(path) is ignored


def test_included_files_only() -> None:
    patterns = Patterns.of(["skip.py"], ["**/*.py"])
    assert [patterns.counts(p) for p in ("a.py", "b/c.py", "a.txt", "skip.py")] == [True, True, False, False]


def test_changes_are_seen(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    patterns = Patterns.of(["ignored"])
    before = scan(str(tmp_path), patterns)
    (tmp_path / "sub" / "a").write_text("12")
    (tmp_path / "new").write_text("")
    (tmp_path / "ignored").write_text("")
    (tmp_path / "b").unlink()
    found = compare(before, scan(str(tmp_path), patterns))
    assert sorted(found.written) == [str(tmp_path / "new"), str(tmp_path / "sub" / "a")]
    assert found.removed == (str(tmp_path / "b"),)
    assert not compare(before, before)
