"""Deleting trees: links are not followed, depth does not matter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.trees import remove_tree


def test_a_tree_goes_and_what_its_links_point_at_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("here")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_text("x")
    (tree / "a" / "b" / "out").symlink_to(kept)
    (tree / "broken").symlink_to("/nowhere")
    os.mkfifo(tree / "fifo")
    remove_tree(str(tree))
    assert not tree.exists()
    assert (kept / "file").read_text() == "here"


@pytest.mark.parametrize("kind", ["file", "link", "nothing"])
def test_what_is_no_directory(tmp_path: Path, kind: str) -> None:
    path, kept = tmp_path / "it", tmp_path / "kept"
    kept.mkdir()
    match kind:
        case "file":
            path.write_text("x")
        case "link":
            path.symlink_to(kept)
    remove_tree(str(path))
    assert not os.path.lexists(path)
    assert kept.exists()


def test_a_tree_deeper_than_any_path_may_be_long(tmp_path: Path) -> None:
    top = os.open(tmp_path, os.O_RDONLY)
    at, name = top, "d" * 200
    for _ in range(60):
        os.mkdir(name, dir_fd=at)
        inner = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    remove_tree(str(tmp_path / name))
    assert not (tmp_path / name).exists()
