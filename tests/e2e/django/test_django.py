"""Django with PostgreSQL: migrations by exec, writes through the ORM, live code from a bind mount, data that outlives down and up."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, CommandLine, assert_nothing_left

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1500)]
HOST = "http://127.0.0.1:8000"
WRITE = "from notes.models import Note; Note.objects.create(text='kept across down and up'); print(Note.objects.count())"


@pytest.fixture(scope="module")
def built(pycompose: CommandLine, debian: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("e2e") / "django"
    shutil.copytree(ROOT / "examples/django", directory)
    pycompose(directory, "build", timeout=1200)
    return directory


@pytest.fixture
def running(pycompose: CommandLine, built: Path, private_network: None) -> Iterator[Path]:
    try:
        pycompose(built, "up", "-d", "--wait", "--wait-timeout", "180")
        yield built
    finally:
        pycompose(built, "down", "-v", ok=False)
    assert_nothing_left(pycompose)


def fetch(path: str = "/") -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(HOST + path, timeout=30) as answer:
        return str(answer.read().decode())


def eventually(text: str, seconds: float = 30) -> None:
    deadline, seen = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            seen = fetch()
        except OSError as error:
            seen = str(error)
        if text in seen:
            return
        time.sleep(0.3)
    raise AssertionError(f"{text!r} is not in {seen!r}")


def test_migrate_write_and_find_again(pycompose: CommandLine, running: Path) -> None:
    assert "migrate" in fetch()
    pycompose(running, "exec", "-T", "web", "python3", "manage.py", "migrate", "--no-input")
    assert pycompose(running, "exec", "-T", "web", "python3", "manage.py", "shell", "-c", WRITE).out.strip() == "1"
    assert "kept across down and up" in fetch()

    pycompose(running, "down")
    pycompose(running, "up", "-d", "--wait", "--wait-timeout", "120")
    assert "kept across down and up" in fetch()

    page = running / "code/notes/templates/notes/index.html"
    page.write_text(page.read_text().replace("<h1>Notes</h1>", "<h1>Edited while running</h1>"))
    eventually("Edited while running")


def test_the_database_is_restarted_when_it_dies(pycompose: CommandLine, running: Path) -> None:
    pycompose(running, "exec", "-T", "web", "python3", "manage.py", "migrate", "--no-input")
    pycompose(running, "exec", "-T", "web", "python3", "manage.py", "shell", "-c", WRITE)
    before = pycompose(running, "ps", "-q", "db").out
    pycompose(running, "exec", "-T", "--user", "root", "db", "sh", "-c", "kill -INT 1", ok=False)
    eventually("kept across down and up", 60)
    assert pycompose(running, "ps", "-q", "db").out == before


def test_one_off_commands_and_code_written_from_inside(pycompose: CommandLine, running: Path) -> None:
    done = pycompose(running, "run", "--rm", "-T", "web", "python3", "manage.py", "startapp", "extra")
    assert done.code == 0
    assert (running / "code/extra/models.py").exists()
    names = pycompose(running, "ps", "-a", "--format", "{{.Name}}").out.split()
    assert sorted(names) == ["django-db-1", "django-web-1"]
