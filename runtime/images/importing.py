"""An image out of a root file system (`docker import`), and a container's changes as one more layer (`docker commit`)."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from runtime.errors import NotFound
from runtime.images import config as configs
from runtime.images.changes import apply
from runtime.state import ImageState

if TYPE_CHECKING:
    from runtime.images.layer import Layer
    from runtime.images.store import ImageStore

_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
}
_VARIANTS = {"armv7l": "v7", "armv6l": "v6", "aarch64": "v8"}


def architecture() -> str:
    """This machine's architecture as OCI spells it (GOARCH)."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def variant() -> str:
    """This machine's CPU variant as OCI spells it, "" where there is none."""
    return _VARIANTS.get(platform.machine(), "")


def now() -> str:
    """The present moment as image configurations spell it (RFC 3339)."""
    return rfc3339(time.time_ns())


def rfc3339(nanoseconds: int) -> str:
    """A moment (ns since the epoch) in UTC with nanoseconds."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    head = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{head}.{fraction:09d}Z" if fraction else f"{head}Z"


def import_root(store: ImageStore, tar: BinaryIO | Iterable[bytes], reference: str, changes: Sequence[str], message: str) -> ImageState:
    """See ``ImageStore.import_root``."""
    with store.lease():
        layer = store.add_layer(tar)
        document = new_document([layer], apply({}, changes), created=now(), comment=message or "Imported from a root file system")
        return store.add_image(encode(document), [layer], [reference] if reference else [])


def new_document(layers: Sequence[Layer], run: Mapping[str, object], *, created: str, comment: str) -> dict[str, object]:
    """An image configuration of this machine's platform."""
    found: dict[str, object] = {"architecture": architecture(), "os": "linux"}
    if variant():
        found["variant"] = variant()
    return {
        **found,
        "created": created,
        "config": dict(run),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": created, "comment": comment}],
    }


def encode(document: Mapping[str, object]) -> bytes:
    """The configuration's bytes, the same for the same content."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def commit(
    store: ImageStore, upper: str, image_id: str, reference: str, *, changes: Sequence[str] = (),
    run: Mapping[str, object] | None = None, author: str = "", message: str = ""
) -> ImageState:  # fmt: skip
    """A new image: ``image_id`` plus the overlay upper directory ``upper`` (the container should be paused) as one more layer.

    ``run`` are further fields of the configuration's ``config`` (Env, Cmd … of the container); ``changes`` are Dockerfile instructions.
    """
    import os

    if not os.path.isdir(upper):
        raise NotFound(f"the container has no writable layer at {upper}", hint="commit a container that was created from an image")
    document = configs.document(store.raw_config(image_id), "the image configuration")
    with store.lease():
        layer = store.add_layer(upper)
        base = document.get("config")
        merged = apply({**(base if isinstance(base, dict) else {}), **(run or {})}, changes)
        before = configs.diff_ids(document)
        created = now()
        event = {"created": created, "author": author, "comment": message, "created_by": "pycompose commit"}
        history = document.get("history")
        document |= {
            "created": created, "config": merged, "author": author or document.get("author", ""),
            "rootfs": {"type": "layers", "diff_ids": [*before, layer.diff_id]},
            "history": [*(history if isinstance(history, list) else []), {k: v for k, v in event.items() if v}],
        }  # fmt: skip
        if not document["author"]:
            del document["author"]
        return store.add_image(encode(document), None, [reference] if reference else [])
