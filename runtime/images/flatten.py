"""An image seen as a whole: its root file system as one tar (`image export`), and its history with the bytes each step added."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from runtime.images import config as configs
from runtime.images.pack import Packer
from runtime.record import dataclass

if TYPE_CHECKING:
    from runtime.images.store import ImageStore

_OPAQUE = "trusted.overlay.opaque"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One step: ``size`` bytes in the layer it made, ``created_at`` ns since the epoch."""

    image: str
    created_at: int
    created_by: str
    size: int
    comment: str = ""


def history(store: ImageStore, reference: str) -> tuple[HistoryRow, ...]:
    """Newest first, as `docker history` has it; an image without a history gets a row per layer."""
    image = store.get(reference)
    document = configs.document(store.raw_config(image.id), "the image configuration")
    listed = document.get("history")
    steps = [s for s in listed if isinstance(s, dict)] if isinstance(listed, list) else []
    layers = iter(image.config.diff_ids)
    rows: list[HistoryRow] = []
    for step in steps or [{} for _ in image.config.diff_ids]:
        diff_id = None if step.get("empty_layer") else next(layers, None)
        rows.append(HistoryRow(
            image="<missing>", created_at=configs.created_ns(str(step.get("created") or "")), created_by=str(step.get("created_by") or ""),
            size=store.content.require(diff_id).size if diff_id else 0, comment=str(step.get("comment") or ""),
        ))  # fmt: skip
    rows.reverse()
    if rows:
        first = rows[0]
        rows[0] = HistoryRow(
            image=image.id, created_at=first.created_at, created_by=first.created_by, size=first.size, comment=first.comment
        )
    return tuple(rows)


def export(store: ImageStore, reference: str) -> Iterator[bytes]:
    """The merged root file system as one tar."""
    image = store.get(reference)
    view = merged(store.layers(image.id))
    return iter(_MergedPacker(view))


def merged(layers: tuple[str, ...]) -> Mapping[bytes, bytes]:
    """Path → where it lies, for what a container of these layers (lowest first) would see."""
    view: dict[bytes, bytes] = {}
    for layer in layers:
        _apply(view, os.fsencode(layer), b"")
    return view


def _apply(view: dict[bytes, bytes], root: bytes, below: bytes) -> None:
    for name in os.listdir(root + b"/" + below if below else root):
        path = below + b"/" + name if below else name
        absolute = root + b"/" + path
        found = os.lstat(absolute)
        is_directory = stat.S_ISDIR(found.st_mode)
        if not is_directory or _opaque(absolute) or not _is_directory(view.get(path)):
            _drop(view, path)
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            continue
        view[path] = absolute
        if is_directory:
            _apply(view, root, path)


def _drop(view: dict[bytes, bytes], path: bytes) -> None:
    held = view.pop(path, None)
    if held is not None and _is_directory(held):
        prefix = path + b"/"
        for gone in [k for k in view if k.startswith(prefix)]:
            del view[gone]


def _is_directory(path: bytes | None) -> bool:
    return path is not None and stat.S_ISDIR(os.lstat(path).st_mode)


def _opaque(path: bytes) -> bool:
    try:
        return os.getxattr(path, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


class _MergedPacker(Packer):
    """Packs a view instead of a directory."""

    def __init__(self, view: Mapping[bytes, bytes]) -> None:
        super().__init__("/")
        self._view = view

    def _absolute(self, path: bytes) -> bytes:
        return self._view[path]

    def _directory(self, path: bytes) -> Iterator[bytes]:
        if not path:
            for found in sorted(self._view, key=lambda p: p.split(b"/")):
                yield from self._entry(found)
