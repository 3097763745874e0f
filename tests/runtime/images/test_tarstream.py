"""The tar reader against Python's and GNU's writers, and the tar writer against Python's reader."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import ImageError
from runtime.images.bytestream import ByteStream
from runtime.images.tarheader import header
from runtime.images.tarstream import Entry, TarStream

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def chopped(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def read(data: bytes, size: int = 777) -> tuple[list[tuple[Entry, bytes]], bytes]:
    raw: list[bytes] = []
    tar = TarStream(ByteStream(chopped(data, size)), raw.append)
    found = [(entry, b"".join(bytes(p) for p in tar.body())) for entry in tar]
    return found, b"".join(raw)


def written(members: list[tuple[tarfile.TarInfo, bytes]], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [1, 511, 512, 1 << 20])
def test_every_kind_of_entry(form: int, size: int) -> None:
    members = [
        (member("d", tarfile.DIRTYPE, mode=0o755, mtime=5), b""),
        (member("d/file", mode=0o4755, uid=1000, gid=50, mtime=1234567890), b"x" * 1000),
        (member("d/sym", tarfile.SYMTYPE, linkname="../else"), b""),
        (member("d/hard", tarfile.LNKTYPE, linkname="d/file"), b""),
        (member("null", tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
        (member("pipe", tarfile.FIFOTYPE), b""),
    ]
    found, _ = read(written(members, form), size)
    assert [e.kind for e, _ in found] == [b"5", b"0", b"2", b"1", b"3", b"6"]
    entry, body = found[1]
    assert (entry.name, entry.mode, entry.uid, entry.gid, entry.mtime_ns, body) == (
        b"d/file",
        0o4755,
        1000,
        50,
        1234567890 * 10**9,
        b"x" * 1000,
    )
    assert found[2][0].link == b"../else"
    assert found[3][0].link == b"d/file"
    assert found[4][0].device == (1, 3)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_large_ids_and_odd_encodings(form: int) -> None:
    name = "ü" * 100 + "/" + "n" * 120
    latin = b"caf\xe9".decode("utf-8", "surrogateescape")
    members = [
        (member(name, uid=3_000_000_000, gid=2_500_000, linkname=""), b"1"),
        (member("l", tarfile.SYMTYPE, linkname="t" * 300), b""),
        (member(latin), b"2"),
    ]
    found, _ = read(written(members, form))
    assert (found[0][0].name, found[0][0].uid, found[0][0].gid) == (name.encode(), 3_000_000_000, 2_500_000)
    assert found[1][0].link == b"t" * 300
    assert found[2][0].name == b"caf\xe9"


def test_pax_time_size_and_xattrs() -> None:
    info = member("f", mtime=1.25)
    info.pax_headers = {"SCHILY.xattr.user.a": "1", "SCHILY.xattr.security.capability": "x\ny"}
    found, _ = read(written([(info, b"abc")], tarfile.PAX_FORMAT))
    assert found[0][0].mtime_ns == 1_250_000_000
    assert dict(found[0][0].xattrs) == {b"user.a": b"1", b"security.capability": b"x\ny"}


def test_global_pax_headers_count_for_all() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"uid": "77"}) as tar:
        tar.addfile(member("a"))
        tar.addfile(member("b"))
    found, _ = read(buffer.getvalue())
    assert [e.uid for e, _ in found] == [77, 77]


@pytest.mark.parametrize(
    "options", [["--format=gnu", "-S"], ["--format=posix", "-S", "--sparse-version=0.1"], ["--format=posix", "-S", "--sparse-version=1.0"]]
)
def test_sparse_files_of_gnu_tar(tmp_path: Path, options: list[str]) -> None:
    content = bytearray(3 << 20)
    randomness = random.Random(1)
    for at in range(0, 3 << 20, 256 << 10):
        content[at : at + 4096] = randomness.randbytes(4096)
    with (tmp_path / "holes").open("wb") as file:
        for at in range(0, 3 << 20, 256 << 10):
            file.seek(at)
            file.write(content[at : at + 4096])
        file.truncate(3 << 20)
    archive = subprocess.run(["tar", *options, "-C", tmp_path, "-cf", "-", "holes"], capture_output=True, check=True).stdout
    found, _ = read(archive)
    entry, stored = found[0]
    assert entry.name == b"holes"
    assert entry.sparse is not None, "GNU tar wrote no sparse entry"
    assert entry.real_size == 3 << 20
    rebuilt, at = bytearray(entry.real_size), 0
    for offset, length in entry.sparse.pieces:
        rebuilt[offset : offset + length] = stored[at : at + length]
        at += length
    assert bytes(rebuilt) == bytes(content)


@pytest.mark.parametrize("form", FORMATS)
def test_raw_and_bodies_together_are_the_archive(form: int) -> None:
    """What split keeps (raw) and what lies in files (bodies) must add up to the very same bytes."""
    data = written([(member(f"f{i}" * 30), bytes([i]) * (i * 97)) for i in range(30)], form) + b"\0" * 5000 + b"trailing garbage"
    order: list[bytes] = []
    tar = TarStream(ByteStream(chopped(data, 1000)), order.append)
    for _ in tar:
        order += [bytes(p) for p in tar.body()]
    assert b"".join(order) == data


@pytest.mark.parametrize("cut", [100, 511, 600, 1100, 1500])
def test_a_truncated_archive_is_refused(cut: int) -> None:
    data = written([(member("a"), b"x" * 700)], tarfile.USTAR_FORMAT)
    with pytest.raises(ImageError, match="cut short"):
        read(data[:cut])


def test_a_damaged_header_is_refused() -> None:
    data = bytearray(written([(member("a"), b"x")], tarfile.USTAR_FORMAT))
    data[3] ^= 0xFF
    with pytest.raises(ImageError, match="checksum"):
        read(bytes(data))


@pytest.mark.parametrize("body", [b"5 a=b\n", b"99 path=x\n", b"x path=y\n", b"12 path=y....", b"-3 a=b\n"])
def test_malformed_pax_headers_are_refused(body: bytes) -> None:
    data = header(b"PaxHeaders/x", b"x", size=len(body)) + body.ljust(512, b"\0") + header(b"f", b"0") + bytes(1024)
    with pytest.raises(ImageError, match="malformed"):
        read(data)


def test_an_endless_pax_header_is_refused() -> None:
    data = header(b"PaxHeaders/x", b"x", size=2 << 20) + bytes(2 << 20)
    with pytest.raises(ImageError, match="refused"):
        read(data)


@given(st.binary(max_size=4096))
@settings(max_examples=300, deadline=None)
def test_noise_never_raises_anything_else(data: bytes) -> None:
    try:
        read(data)
    except ImageError:
        return


@given(
    st.binary(min_size=1, max_size=300).filter(lambda b: b"\0" not in b and not b.endswith(b"/") and b != b"."),
    st.integers(0, 1 << 33), st.integers(0, 1 << 32), st.integers(0, 0o7777), st.binary(max_size=200).filter(lambda b: b"\0" not in b),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read(name: bytes, mtime: int, uid: int, mode: int, link: bytes) -> None:
    data = header(name, b"2", mode=mode, uid=uid, gid=uid, mtime=mtime, link=link, xattrs=((b"user.x", b"\xff\n1"),)) + bytes(1024)
    entry = read(data)[0][0][0]
    assert (entry.name, entry.uid, entry.gid, entry.mode, entry.mtime_ns, entry.link) == (name, uid, uid, mode, mtime * 10**9, link)
    assert entry.xattrs == ((b"user.x", b"\xff\n1"),)


def test_python_reads_what_we_write() -> None:
    data = (
        header(b"a" * 150 + b"/b", b"0", size=3, uid=5) + b"abc".ljust(512, b"\0") + header("ü/".encode(), b"5", mode=0o755) + bytes(1024)
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
        first = tar.extractfile(tar.getmembers()[0])
    assert names == ["a" * 150 + "/b", "ü"]
    assert first is not None


def test_a_header_name_cut_at_a_slash_is_still_a_file() -> None:
    """PAX writers cut the header's own name; where the cut falls on a slash it must not make a directory of a file."""
    name = "d/" * 120 + "f"
    found, _ = read(written([(member(name), b"content")], tarfile.PAX_FORMAT))
    assert (found[0][0].name, found[0][0].kind, found[0][1]) == (name.encode(), b"0", b"content")
