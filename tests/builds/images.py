"""Reads an image archive (``docker image save``) into what two builders must agree on: the configuration, and every layer's files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_KINDS = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "link", tarfile.CHRTYPE: "char",
          tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo"}  # fmt: skip
_YEAR = 365 * 86400
_SHOWN = 300

Ignored = Callable[[str], bool]


def describe(archive: Path | IO[bytes], *, ignored: Ignored = lambda name: False) -> dict[str, Any]:
    """Configuration, history and layers of the one image in ``archive``; ``ignored`` names files whose bytes differ from build to build."""
    with tarfile.open(archive) if isinstance(archive, Path) else tarfile.open(fileobj=archive) as tar:
        manifest = json.loads(_bytes(tar, "manifest.json"))[0]
        whole = json.loads(_bytes(tar, manifest["Config"]))
        layers = [_layer(_bytes(tar, name), ignored) for name in manifest["Layers"]]
    return {"config": _config(whole), "history": _history(whole), "layers": layers}


def _bytes(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.getmember(name)
    while member.issym():
        base = name.rpartition("/")[0]
        name = str(Path(f"/{base}/{member.linkname}").resolve()).lstrip("/")
        member = tar.getmember(name)
    file = tar.extractfile(member)
    if file is None:
        raise ValueError(f"{name} is no file")
    return file.read()


def _config(whole: dict[str, Any]) -> dict[str, Any]:
    run = {k: v for k, v in (whole.get("config") or {}).items() if v not in (None, "", [], {}) or k in ("Entrypoint", "Cmd", "Env")}
    run = {k: v for k, v in run.items() if v is not None}
    if "Labels" in run:
        run["Labels"] = {k: v for k, v in run["Labels"].items() if not k.startswith("com.docker.compose.")}
    run = {k: v for k, v in run.items() if k != "Labels" or v}
    return {**{k: whole[k] for k in ("architecture", "os", "author", "variant") if whole.get(k)}, "run": run}


def _history(whole: dict[str, Any]) -> list[str]:
    return [f"{'- ' if h.get('empty_layer') else '+ '}{h.get('created_by', '')}" for h in whole.get("history") or ()]


def _layer(content: bytes, ignored: Ignored) -> dict[str, str]:
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    found: dict[str, str] = {}
    first: dict[str, str] = {}  # hard links: every name to the one that holds the bytes
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for entry in tar:
            name = entry.name.removeprefix("./").strip("/")
            if name in ("", "."):
                continue
            if entry.islnk():
                first[name] = entry.linkname.removeprefix("./").strip("/")
            else:
                found[name] = _entry(tar, entry, ignored(name))
    _join_links(found, first)
    return dict(sorted(found.items()))


def _join_links(found: dict[str, str], first: dict[str, str]) -> None:
    """Every name of a file with several says how it looks and which are the others, whichever came first in the archive."""
    groups: dict[str, list[str]] = {}
    for name, target in first.items():
        groups.setdefault(target, [target]).append(name)
    for target, names in groups.items():
        looks = found.get(target, "missing")
        for name in names:
            found[name] = f"{looks} = {' '.join(sorted(names))}"


def _entry(tar: tarfile.TarFile, entry: tarfile.TarInfo, ignored: bool) -> str:
    kind = _KINDS.get(entry.type, repr(entry.type))
    if entry.name.rpartition("/")[2].startswith(".wh."):
        return "opaque" if entry.name.endswith(".wh..wh..opq") else "whiteout"
    words = [kind, f"{entry.mode & 0o7777:04o}", f"{entry.uid}:{entry.gid}"]
    if kind == "file":
        words.append("…" if ignored else _content(tar, entry))
    elif kind == "link":
        words.append(f"-> {entry.linkname}")
    elif kind in ("char", "block"):
        words.append(f"{entry.devmajor},{entry.devminor}")
    words += [f"{k.removeprefix('SCHILY.xattr.')}={v!r}" for k, v in sorted(entry.pax_headers.items()) if k.startswith("SCHILY.xattr.")]
    if entry.mtime < time.time() - 3 * _YEAR:  # what is younger was made by the build
        words.append(f"@{int(entry.mtime)}")
    return " ".join(words)


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    file = tar.extractfile(entry)
    data = file.read() if file else b""
    text = data.decode("utf-8", "replace")
    if len(data) <= _SHOWN and all(c.isprintable() or c == "\n" for c in text):
        return json.dumps(text, ensure_ascii=False)
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"
