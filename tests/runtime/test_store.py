"""Files that are whole or not there, and locks that die with their holder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.store import entries, is_locked, locked, paths, read_file, write_atomic


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = str(tmp_path / "state.json")
    write_atomic(path, "old")
    with pytest.raises(TypeError):
        write_atomic(path, 7)  # type: ignore[arg-type]
    assert read_file(path) == b"old"
    assert entries(str(tmp_path)) == ["state.json"]


def test_a_lock_is_seen_by_others_and_dies_with_its_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "lock")
    assert not is_locked(path)
    program = f"from runtime.store import locked\nwith locked({path!r}):\n    print('held', flush=True)\n    input()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert is_locked(path)
    holder.kill()
    holder.communicate()
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)


def test_the_environment_moves_both_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYCOMPOSE_ROOT", "/a")
    monkeypatch.setenv("PYCOMPOSE_RUN", "/b")
    assert (paths().root, paths().run) == ("/a", "/b")
    monkeypatch.delenv("PYCOMPOSE_ROOT")
    monkeypatch.delenv("PYCOMPOSE_RUN")
    if os.geteuid() == 0:
        assert (paths().root, paths().run) == ("/var/lib/pycompose", "/run/pycompose")


def test_reading_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert read_file(str(tmp_path / "no")) is None
    assert entries(str(tmp_path / "no")) == []
