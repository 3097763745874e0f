"""Whether an unpacked layer still is what its tar said: names, kinds, modes, owners, link targets. For ``verify``; reads only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from runtime.images.bytestream import ByteStream
from runtime.images.layer import Layer
from runtime.images.limits import DEFAULT
from runtime.images.split import assemble
from runtime.images.tarstream import Entry, TarStream
from runtime.images.tree import clean

_KINDS = {b"0": stat.S_IFREG, b"2": stat.S_IFLNK, b"3": stat.S_IFCHR, b"4": stat.S_IFBLK, b"5": stat.S_IFDIR, b"6": stat.S_IFIFO}


def difference(home: str, layer: Layer) -> str:
    """The first thing about the files in ``<home>/diff`` that is not as their tar has it; "" when all is well."""
    wanted = _last_entries(home, layer)
    for path, entry in wanted.items():
        problem = _compare(os.fsencode(f"{home}/diff/") + path, entry)
        if problem:
            return f"{os.fsdecode(path)}: {problem}"
    return _stranger(home, wanted)


def _last_entries(home: str, layer: Layer) -> dict[bytes, Entry]:
    found: dict[bytes, Entry] = {}
    for entry in TarStream(ByteStream(assemble(home, layer.replaced)), lambda _: None):
        path = clean(entry.name, DEFAULT)
        if not path.rpartition(b"/")[2].startswith(b".wh."):
            if entry.kind != b"5":
                for gone in [k for k in found if k.startswith(path + b"/")] if path in found else []:
                    del found[gone]
            found[path] = entry
    return found


def _compare(path: bytes, entry: Entry) -> str:
    try:
        held = os.lstat(path)
    except OSError as error:
        return error.strerror or "missing"
    if entry.kind == b"1":
        return "" if stat.S_ISREG(held.st_mode) or held.st_nlink > 1 else "is no hard link"
    if stat.S_IFMT(held.st_mode) != _KINDS[entry.kind]:
        return "is of another kind"
    if entry.kind == b"2":
        return "" if os.readlink(path) == entry.link else "points elsewhere"
    if held.st_nlink == 1 or entry.kind == b"5":
        if stat.S_IMODE(held.st_mode) != entry.mode:
            return f"has mode {stat.S_IMODE(held.st_mode):o} instead of {entry.mode:o}"
        if (held.st_uid, held.st_gid) != (entry.uid, entry.gid):
            return f"belongs to {held.st_uid}:{held.st_gid} instead of {entry.uid}:{entry.gid}"
    return ""


def _stranger(home: str, wanted: dict[bytes, Entry]) -> str:
    parents = {b"/".join(path.split(b"/")[:depth]) for path in wanted for depth in range(1, path.count(b"/") + 1)}
    for path in _names(os.fsencode(f"{home}/diff"), b""):
        if path not in wanted and path not in parents and not _is_whiteout(os.fsencode(f"{home}/diff/") + path):
            return f"{os.fsdecode(path)}: is not part of the layer"
    return ""


def _names(root: bytes, below: bytes) -> Iterator[bytes]:
    with os.scandir(root + b"/" + below if below else root) as found:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_directory in listed:
        path = below + b"/" + name if below else name
        yield path
        if is_directory:
            yield from _names(root, path)


def _is_whiteout(path: bytes) -> bool:
    held = os.lstat(path)
    return stat.S_ISCHR(held.st_mode) and held.st_rdev == 0
