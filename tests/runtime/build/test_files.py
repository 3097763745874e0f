"""What builds see of files: merged layers, contexts behind ignore files, wildcards, modes, digests. On a real file system, without privileges."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from e2b_dockerfile_utils import PatternMatcher
from hypothesis import given
from hypothesis import strategies as st

from runtime.build import ignore
from runtime.build.contents import Contents
from runtime.build.fingerprint import fingerprint
from runtime.build.modes import parse_mode, parse_owner
from runtime.build.select import select
from runtime.build.selection import pivot
from runtime.build.view import View
from runtime.errors import BuildError


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(view: View, path: str = "/") -> list[str]:
    node = view.locate(path).node
    assert node is not None
    return [child.name for child in view.children(node)]


def test_upper_layers_hide_lower_ones(tmp_path: Path) -> None:
    low, high = tmp_path / "low", tmp_path / "high"
    write(low, a="old", d__x="1", f__y="2")
    write(high, a="new", d__z="3", f="file now")
    view = View([str(low), str(high)])
    assert names(view) == ["a", "d", "f"]
    assert view.read("/a") == b"new" and names(view, "/d") == ["d/x", "d/z"]
    assert view.read("/f") == b"file now" and view.locate("/f/y").node is None


def test_links_are_followed_inside_the_root(tmp_path: Path) -> None:
    write(tmp_path, real__file="x", etc__passwd="inside")
    for name, target in {"rel": "real", "abs": "/real", "out": "../../../etc/passwd", "loop": "loop", "dangling": "/nowhere"}.items():
        (tmp_path / name).symlink_to(target)
    view = View([str(tmp_path)])
    assert view.locate("/rel/file").name == "real/file" == view.locate("/abs/file").name
    assert view.read("/out") == b"inside"
    assert view.locate("/dangling").node is None and view.locate("/dangling").name == "nowhere"
    assert view.locate("/real/../../../real/file").name == "real/file"
    with pytest.raises(BuildError, match="symbolic links"):
        view.locate("/loop")


def context(root: Path, patterns: str) -> View:
    (root / ".dockerignore").write_text(patterns)
    rule, _ = ignore.of_context(str(root), None)
    return View([str(root)], hidden=rule.hidden if rule else None, may_hold=rule.may_hold if rule else None)


def everything(view: View) -> set[str]:
    def walk(path: str) -> set[str]:
        node = view.locate(path).node
        assert node is not None
        return {n for child in view.children(node) for n in ({child.name} | (walk(child.name) if child.is_directory else set()))}

    return walk("/")


def test_ignore_files(tmp_path: Path) -> None:
    write(tmp_path, **{"a.log": "", "keep.log": "", "n__b.log": "", "d__x__y": "", "d__z": "", "e__only": "", "src__m.py": ""})
    view = context(tmp_path, "# comment\n*.log\n!keep.log\nd\n!d/x/y\n/e\n.dockerignore\n")
    assert everything(view) == {"keep.log", "n", "n/b.log", "d", "d/x", "d/x/y", "src", "src/m.py"}


def test_the_ignore_file_beside_the_dockerfile_goes_first(tmp_path: Path) -> None:
    write(tmp_path, **{".dockerignore": "a", "D.dockerignore": "b", "a": "", "b": ""})
    rule, path = ignore.of_context(str(tmp_path), str(tmp_path / "D"))
    assert rule is not None and path.endswith("D.dockerignore") and rule.hidden("b", False) and not rule.hidden("a", False)


def test_a_malformed_pattern_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="syntax error in pattern"):
        context(tmp_path, "a[\n")


part = st.sampled_from(["a", "b", "*", "**", "a*", "?", "[ab]", "x.log", "\\a", ".."])
pattern = st.builds(lambda bang, parts: bang + "/".join(parts), st.sampled_from(["", "", "!"]), st.lists(part, min_size=1, max_size=3))
name = st.lists(st.sampled_from(["a", "b", "ab", "x.log", "c"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(pattern, max_size=5), name)
def test_the_quick_look_never_changes_an_answer(patterns: list[str], path: str) -> None:
    rule = ignore.of_patterns(patterns, "test")
    assert (rule is not None and rule.hidden(path, False)) == PatternMatcher(patterns).matches(path)


def test_wildcards_are_go_s(tmp_path: Path) -> None:
    write(tmp_path, a1="", a2="", b1="", d__a1__deep="", d__c="")
    (tmp_path / "alink").symlink_to("b1")
    view = View([str(tmp_path)])
    assert [s.name for s in select(view, "a?")] == ["a1", "a2"]
    assert [s.name for s in select(view, "[^a]1")] == ["b1"]
    assert [s.node.name for s in select(view, "d/*/deep")] == ["d/a1/deep"]
    assert [(s.name, s.node.name) for s in select(view, "al*")] == [("alink", "b1")]
    assert select(view, "nothing*") == []
    with pytest.raises(FileNotFoundError):
        select(view, "nothing")
    with pytest.raises(ValueError, match="syntax error"):
        select(view, "a[")


def test_parents_have_a_pivot_and_deep_wildcards(tmp_path: Path) -> None:
    write(tmp_path, **{"x__a.txt": "", "x__y__b.txt": "", "x__c.md": ""})
    view = View([str(tmp_path)])
    assert [s.node.name for s in pivot(view, "**/*.txt")[1]] == ["x/a.txt", "x/y/b.txt"]
    assert pivot(view, "x/./y/b.txt")[0] == "x"


@pytest.mark.parametrize(
    ("text", "old", "directory", "expected"),
    [
        ("644", 0o4755, False, 0o644), ("1777", 0o755, True, 0o1777), ("u=rwX,go=rX", 0o600, False, 0o644), ("u=rwX,go=rX", 0o700, True, 0o755),
        ("go-rwx", 0o775, False, 0o700), ("a+X", 0o644, False, 0o644), ("a+X", 0o744, False, 0o755), ("+t", 0o755, True, 0o1755), ("g=u", 0o640, False, 0o660),
        ("u+s,g-w", 0o775, False, 0o4755), ("o=", 0o777, False, 0o770),
    ],
)  # fmt: skip
def test_modes(text: str, old: int, directory: bool, expected: int) -> None:
    assert parse_mode(text).change(old, directory) == expected


@pytest.mark.parametrize("text", ["8", "rw", "u~x", "99999", "u=rwz"])
def test_malformed_modes(text: str) -> None:
    with pytest.raises(ValueError, match="chmod"):
        parse_mode(text)


def test_owners_are_looked_up_in_the_image(tmp_path: Path) -> None:
    write(tmp_path, etc__passwd="root:x:0:0::/:\nbob:x:1000:100::/:\n", etc__group="root:x:0:\nstaff:x:50:\n")
    view = View([str(tmp_path)])
    assert parse_owner("bob", view) == (1000, 100)
    assert parse_owner("bob:staff", view) == (1000, 50)
    assert parse_owner("7", view) == (7, 7) and parse_owner("7:8", view) == (7, 8)


def test_digests_know_content_names_modes_and_links_but_no_times(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write(tree, a="1", d__b="2")
    view = View([str(tree)], owner=(0, 0))

    def digest() -> str:
        root = view.root
        assert root is not None
        return fingerprint(view, root, Contents(str(tmp_path / "cache.json")))

    before = digest()
    os.utime(tree / "a", (1, 1))
    assert digest() == before
    (tree / "a").chmod(0o755)
    executable = digest()
    assert executable != before
    (tree / "a").chmod(stat.S_IMODE(0o644))
    (tree / "c").hardlink_to(tree / "a")
    linked = digest()
    (tree / "c").unlink()
    write(tree, c="1")
    assert len({before, executable, linked, digest()}) == 4


def test_contents_are_read_again_only_when_they_changed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    place = str(tmp_path / "cache.json")
    first = Contents(place)
    os.utime(file, ns=(1, 1))
    import time

    time.sleep(0.1)
    value = first.digest(str(file), file.stat())
    first.save()
    again = Contents(place)
    stamp = file.stat()
    file.write_text("two")  # other content under a remembered stamp shows whether the file is read
    assert again.digest(str(file), stamp) == value
    assert again.digest(str(file), file.stat()) != value
    assert not again.differs(str(file), file.stat())
