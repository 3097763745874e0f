"""Unpacking layers: faithful for good ones, and nothing outside its place for hostile ones."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.errors import ImageError
from runtime.images import ImageStore
from runtime.images.limits import Limits

from .conftest import Member, entry, tar_of

pytestmark = pytest.mark.root

CAPABILITY = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
D, S, H, C, B, F = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE


def add(store: ImageStore, *members: Member) -> Path:
    layer = store.add_layer(io.BytesIO(tar_of(*members)))
    return Path(store.layer_directory(layer.diff_id))


def test_everything_arrives_as_it_was(store: ImageStore) -> None:
    root = add(
        store,
        entry("./", kind=D, mode=0o750, mtime=7), entry("bin", kind=D, mode=0o2755, uid=3, gid=4, mtime=1000),
        entry("bin/su", b"#!", mode=0o4755, mtime=1234, xattrs={"security.capability": CAPABILITY, "user.note": "hi"}),
        entry("bin/other", kind=H, linkname="bin/su"), entry("abs", kind=S, linkname="/etc/passwd", uid=5, mtime=99),
        entry("pipe", kind=F, mode=0o600), entry("dev/null", kind=C, devmajor=1, devminor=3, mode=0o666), entry("tmp", kind=D, mode=0o1777),
        entry("a" * 200 + "/" + "b" * 200, b"deep"), entry(b"caf\xe9".decode("utf-8", "surrogateescape"), b"latin-1"), entry("new\nline", b"x"),
    )  # fmt: skip
    su = os.stat(root / "bin/su")
    assert (su.st_mode & 0o7777, su.st_mtime, su.st_nlink) == (0o4755, 1234, 2)
    assert os.getxattr(root / "bin/su", "security.capability") == CAPABILITY.encode()
    assert os.getxattr(root / "bin/su", "user.note") == b"hi"
    assert os.stat(root / "bin/other").st_ino == su.st_ino
    directory = os.stat(root / "bin")
    assert (directory.st_mode & 0o7777, directory.st_uid, directory.st_gid, directory.st_mtime) == (0o2755, 3, 4, 1000)
    assert os.stat(root).st_mode & 0o7777 == 0o750
    link = os.lstat(root / "abs")
    assert (os.readlink(root / "abs"), link.st_uid, link.st_mtime) == ("/etc/passwd", 5, 99)
    assert stat.S_ISFIFO(os.lstat(root / "pipe").st_mode)
    assert os.lstat(root / "dev/null").st_rdev == os.makedev(1, 3)
    assert os.stat(root / "tmp").st_mode & 0o7777 == 0o1777
    assert (root / ("a" * 200) / ("b" * 200)).read_bytes() == b"deep"
    assert b"caf\xe9" in os.listdir(os.fsencode(root))
    assert (root / "new\nline").exists()


def test_whiteouts_take_overlayfs_form_and_hide_in_a_mount(store: ImageStore, scratch: Path) -> None:
    lower = add(store, entry("keep", b"1"), entry("gone", b"2"), entry("dir/old", b"3"), entry("tree/a/b", b"4"))
    upper = add(store, entry(".wh.gone"), entry("dir/.wh..wh..opq"), entry("dir/new", b"5"), entry(".wh.tree"), entry(".wh..wh.plnk", b""))
    assert os.lstat(upper / "gone").st_rdev == 0
    assert stat.S_ISCHR(os.lstat(upper / "gone").st_mode)
    merged = scratch / "merged"
    merged.mkdir()
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={upper}:{lower}", merged], check=True)
    try:
        assert sorted(os.listdir(merged)) == ["dir", "keep"]
        assert os.listdir(merged / "dir") == ["new"]
    finally:
        subprocess.run(["umount", merged], check=True)


@pytest.mark.parametrize("first", [True, False])
def test_a_whiteout_beside_a_new_entry_of_that_name(store: ImageStore, scratch: Path, first: bool) -> None:
    lower = add(store, entry("d/old", b"1"), entry("f", b"old"))
    whiteouts, entries = [entry(".wh.d"), entry(".wh.f")], [entry("d", kind=D), entry("d/new", b"2"), entry("f", b"new")]
    upper = add(store, *(whiteouts + entries if first else entries + whiteouts))
    merged = scratch / "merged"
    merged.mkdir()
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={upper}:{lower}", merged], check=True)
    try:
        assert os.listdir(merged / "d") == ["new"]
        assert (merged / "f").read_bytes() == b"new"
    finally:
        subprocess.run(["umount", merged], check=True)


def test_later_entries_replace_earlier_ones_and_the_tar_can_still_be_written(store: ImageStore) -> None:
    data = tar_of(
        entry("f", b"first"), entry("f", b"second!"), entry("d", kind=D, mode=0o700), entry("d/x", b"lost"), entry("d", b"a file now"),
        entry("l", kind=S, linkname="f"),
        entry("l", b"no link"), entry("e", b"file"),
        entry("e", kind=D), entry("e/in", b"dir now"), entry("d2", kind=D, mode=0o700), entry("d2", kind=D, mode=0o711),
    )  # fmt: skip
    layer = store.add_layer(io.BytesIO(data))
    root = Path(store.layer_directory(layer.diff_id))
    assert (root / "f").read_bytes() == b"second!"
    assert (root / "d").read_bytes() == b"a file now"
    assert (root / "l").read_bytes() == b"no link"
    assert (root / "e" / "in").read_bytes() == b"dir now"
    assert os.stat(root / "d2").st_mode & 0o777 == 0o711
    assert b"".join(store.layer_tar(layer.diff_id)) == data
    assert store.verify() == ()


def test_relative_links_inside_the_layer_are_followed(store: ImageStore) -> None:
    root = add(
        store,
        entry("usr/lib", kind=D),
        entry("lib", kind=S, linkname="usr/lib"),
        entry("lib/x.so", b"1"),
        entry("usr/up", kind=S, linkname="../lib"),
        entry("usr/up/y.so", b"2"),
    )
    assert sorted(os.listdir(root / "usr/lib")) == ["x.so", "y.so"]
    assert os.path.islink(root / "lib")


def test_sparse_files_keep_their_holes(store: ImageStore, scratch: Path) -> None:
    with (scratch / "big").open("wb") as file:
        file.seek(50 << 20)
        file.write(b"end")
    archive = subprocess.run(["tar", "--format=posix", "-S", "-C", scratch, "-cf", "-", "big"], capture_output=True, check=True).stdout
    layer = store.add_layer(io.BytesIO(archive))
    found = os.stat(Path(store.layer_directory(layer.diff_id)) / "big")
    assert found.st_size == (50 << 20) + 3
    assert found.st_blocks * 512 < 1 << 20
    assert b"".join(store.layer_tar(layer.diff_id)) == archive


HOSTILE: dict[str, tuple[list[Member], str]] = {
    "dot-dot": ([entry("../outside", b"x")], "climbs out"),
    "dot-dot inside": ([entry("a/../../outside", b"x")], "climbs out"),
    "absolute": ([entry("/outside", b"x")], "absolute path"),
    "through an absolute link": ([entry("l", kind=S, linkname="/"), entry("l/outside", b"x")], "leaves the layer"),
    "through a climbing link": ([entry("d/l", kind=S, linkname="../.."), entry("d/l/outside", b"x")], "leaves the layer"),
    "through a chain of links": (
        [entry("a", kind=S, linkname="b"), entry("b", kind=S, linkname="../.."), entry("a/outside", b"x")],
        "leaves the layer",
    ),
    "through links in a circle": (
        [entry("a", kind=S, linkname="b"), entry("b", kind=S, linkname="a"), entry("a/outside", b"x")],
        "round in symbolic links",
    ),
    "directory through a link": ([entry("l", kind=S, linkname="/"), entry("l/outside", kind=D)], "leaves the layer"),
    "below a file": ([entry("f", b"x"), entry("f/outside", b"x")], "is used as a directory"),
    "hard link out": ([entry("h", kind=H, linkname="../../../etc/passwd")], "climbs out"),
    "hard link to an absolute path": ([entry("h", kind=H, linkname="/etc/passwd")], "absolute path"),
    "hard link through a link": ([entry("l", kind=S, linkname="/etc"), entry("h", kind=H, linkname="l/passwd")], "leaves the layer"),
    "hard link to nothing": ([entry("h", kind=H, linkname="nothing")], "does not hold"),
    "hard link to itself": ([entry("h", kind=H, linkname="h")], "itself"),
    "disk": ([entry("sda", kind=B, devmajor=8, devminor=0)], "no image may bring"),
    "memory": ([entry("mem", kind=C, devmajor=1, devminor=1)], "no image may bring"),
    "forged whiteout": ([entry("w", kind=C, devmajor=0, devminor=0)], "no image may bring"),
    "forged opaque": ([entry("d", kind=D, xattrs={"trusted.overlay.opaque": "y"})], "belongs to the kernel"),
    "forged redirect": ([entry("d", kind=D, xattrs={"trusted.overlay.redirect": "/../../etc"})], "belongs to the kernel"),
    "forged user redirect": ([entry("d", kind=D, xattrs={"user.overlay.redirect": "/etc"})], "belongs to the kernel"),
    "whiteout of the parent": ([entry("d/.wh...", b"")], "names nothing inside"),
    "whiteout of itself": ([entry("d/.wh..", b"")], "names nothing inside"),
    "whiteout without a name": ([entry(".wh.", b"")], "names nothing inside"),
    "whiteout outside": ([entry("../.wh.outside", b"")], "climbs out"),
    "whiteout that is a link": ([entry(".wh.x", kind=S, linkname="/etc")], "not a regular file"),
    "root that is a file": ([entry(".", b"x")], "root is not a directory"),
    "root that is a link": ([entry("./", kind=S, linkname="/etc")], "root is not a directory"),
    "too deep": ([entry("d/" * 1500 + "f", b"x")], "nested deeper"),
    "name too long": ([entry("n" * 300, b"x")], "File name too long"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_layers_are_refused_whole(store: ImageStore, case: str) -> None:
    members, told = HOSTILE[case]
    with pytest.raises(ImageError, match=told):
        store.add_layer(io.BytesIO(tar_of(entry("before", b"1"), *members)))
    assert list(store.content.all()) == []
    left = [str(p) for p in Path(store.root).rglob("*") if "before" in p.name or "outside" in p.name]
    assert left == []
    assert not list(Path(store.root).parent.parent.rglob("outside"))


@pytest.mark.parametrize("case", ["entries", "bytes", "ratio", "room"])
def test_bombs_are_stopped(new_store: Callable[..., ImageStore], case: str) -> None:
    import gzip

    limits = {
        "entries": Limits(entries=1000), "bytes": Limits(layer_bytes=1 << 20), "ratio": Limits(ratio=20, ratio_floor=1 << 20), "room": Limits(reserve=1 << 60),
    }[case]  # fmt: skip
    store = new_store(limits)
    members = [entry(f"f{i}", b"") for i in range(5000)] if case == "entries" else [entry("zeros", bytes(8 << 20))]
    with pytest.raises(ImageError) as raised:
        store.add_layer(io.BytesIO(gzip.compress(tar_of(*members))))
    assert {"entries": "entries", "bytes": "bytes", "ratio": "unpacks from", "room": "more room"}[case] in raised.value.message
    assert list(store.content.all()) == []


def test_a_layer_that_is_not_what_was_promised_is_not_kept(store: ImageStore) -> None:
    with pytest.raises(ImageError, match="does not match its diff id"):
        store.add_layer(io.BytesIO(tar_of(entry("a", b"1"))), expected="sha256:" + "0" * 64)
    assert list(store.content.all()) == []


@pytest.mark.parametrize("data", [b"not a tar at all" * 100, b"\x1f\x8b" + b"x" * 100, b"PK\x03\x04" + bytes(600)])
def test_noise_is_refused(store: ImageStore, data: bytes) -> None:
    with pytest.raises(ImageError):
        store.add_layer(io.BytesIO(data))
    assert list(store.content.all()) == []


def test_gnu_tar_and_we_agree(store: ImageStore, scratch: Path) -> None:
    """A real tree of this host, packed by GNU tar, unpacked by both."""
    archive = scratch / "tree.tar"
    subprocess.run(
        ["tar", "--xattrs", "-C", "/usr/share", "-cf", archive, "perl5", "zoneinfo", "bash-completion"], check=False, capture_output=True
    )
    theirs = scratch / "theirs"
    theirs.mkdir()
    subprocess.run(["tar", "--xattrs", "--numeric-owner", "-C", theirs, "-xpf", archive], check=True)
    with archive.open("rb") as file:
        layer = store.add_layer(file)
    ours = Path(store.layer_directory(layer.diff_id))
    assert listing(ours) == listing(theirs)
    assert len(listing(ours)) > 500
    assert b"".join(store.layer_tar(layer.diff_id)) == archive.read_bytes()


def listing(root: Path) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path in sorted(root.rglob("*")):
        held = path.lstat()
        mtime = 0 if stat.S_ISCHR(held.st_mode) else int(held.st_mtime)  # nobody sees a whiteout's time
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else os.readlink(path) if path.is_symlink() else None
        found.append((str(path.relative_to(root)), held.st_mode, held.st_uid, held.st_gid, held.st_nlink, mtime, content))
    return found


def test_limits_come_from_the_documented_file(store: ImageStore, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (scratch / "registries.toml").write_text("[limits]\nentries = 3\n")
    monkeypatch.setenv("PYCOMPOSE_REGISTRIES", str(scratch / "registries.toml"))
    with pytest.raises(ImageError, match="more than 3 entries") as raised:
        store.add_layer(io.BytesIO(tar_of(*(entry(f"f{i}", b"") for i in range(4)))))
    assert "registries.toml" in (raised.value.hint or "")


def test_ten_million_entries_are_not_read_to_the_end(new_store: Callable[..., ImageStore]) -> None:
    """Ten million files in a stream made on the fly; reading stops at the limit, with the memory of one entry."""
    from runtime.images.tarheader import header

    made = 0

    def endless() -> Iterator[bytes]:
        nonlocal made
        for number in range(0, 10_000_000, 1000):
            made += 1000
            yield b"".join(header(b"d/%d" % i, b"0") for i in range(number, number + 1000))

    store = new_store(Limits(entries=20_000))
    with pytest.raises(ImageError, match="more than 20000 entries"):
        store.add_layer(endless())
    assert made < 100_000
    assert list(store.content.all()) == []


def test_trees_deeper_than_any_image_are_refused_when_packed_too(store: ImageStore, scratch: Path) -> None:
    deep = scratch / "deep"
    deep.joinpath(*["d"] * 300).mkdir(parents=True)
    with pytest.raises(ImageError, match="nested deeper"):
        store.add_layer(str(deep))
