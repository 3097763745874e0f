"""A store of its own with a busybox image, and builds in it on the real kernel."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from runtime.build.building import build
from runtime.build.events import BuildEvent, StepDone, StepOutput, StepStarted
from runtime.build.request import BuildRequest
from runtime.build.view import View
from runtime.images.store import ImageStore
from runtime.state import ImageState
from runtime.store import Paths

BUSYBOX = "/bin/busybox"


class Site:
    """``write`` makes files of a context, ``build`` builds it; ``events`` are the last build's."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths(f"{directory}/root", f"{directory}/run")
        self.store = ImageStore(self.paths)
        self.context = directory / "context"
        self.context.mkdir()
        self.events: list[BuildEvent] = []
        self.store.import_root(io.BytesIO(busybox_tar()), "busybox:latest", ['CMD ["sh"]'])

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.context / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def build(self, dockerfile: str | None = None, **values: Any) -> ImageState:
        request = BuildRequest(context=str(self.context), references=("built:latest",), dockerfile_text=dockerfile)
        self.events = []
        return anyio.run(build, self.store, replace(request, **values), self.events.append)

    def view(self, image: ImageState) -> View:
        return View(self.store.layers(image.id))

    def text(self, image: ImageState, path: str) -> str:
        content = self.view(image).read(path)
        assert content is not None, path
        return content.decode()

    def config(self, image: ImageState) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.store.raw_config(image.id))
        return found

    def steps(self) -> dict[str, str]:
        """Steps by name: "CACHED", "DONE" or "ERROR"."""
        named = {e.number: e.name for e in self.events if isinstance(e, StepStarted)}
        ended = {e.number: "ERROR" if e.error else "CACHED" if e.cached else "DONE" for e in self.events if isinstance(e, StepDone)}
        return {name: ended.get(number, "") for number, name in named.items() if name.startswith("[") and "internal" not in name}

    def output(self) -> str:
        return b"".join(e.data for e in self.events if isinstance(e, StepOutput)).decode()


def busybox_tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700), ("var", 0o755)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        tar.add(BUSYBOX, "bin/busybox")
        for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        for name, text in (
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/:/bin/sh\n"),
            ("etc/group", "root:x:0:\nbob:x:1000:\n"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return content.getvalue()


def mounts_below(directory: str) -> list[str]:
    with open("/proc/self/mounts") as file:
        return [line for line in file if directory in line]


@pytest.fixture
def site() -> Iterator[Site]:
    directory = tempfile.mkdtemp(prefix="pycompose-build-", dir="/var/tmp")
    os.chmod(directory, 0o755)
    try:
        yield Site(Path(directory))
        assert not mounts_below(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
