#!/usr/bin/env python3
"""Side by side with Docker: pull and unpack an image of about 500 MB from a local registry, and pull it again when nothing is new.

usage: bench/images.py [--rounds 3] [--megabytes 500] [--pycompose PATH]     (see README.md here for the environment)
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from report import table

BUDGETS = {"pull": 0.7, "pull again, nothing new": 0.5}
SHARES = (0.3, 0.25, 0.2, 0.15, 0.1)  # of the image's size, one layer each
PORT = 5055
NAME = f"localhost:{PORT}/bench/image"


def name(number: int) -> str:
    """The image of one round. Each has content of its own: ext4 is slow to make files where many were deleted a minute ago."""
    return f"{NAME}:{number}"


@dataclass
class Side:
    """One implementation: how it pulls and forgets an image, and what was measured."""

    name: str
    pull: list[str]
    remove: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    figures: dict[str, list[float]] = field(default_factory=dict)

    def run(self, command: list[str], *, ok: bool = True) -> float:
        began = time.perf_counter()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env={**os.environ, **self.environment}
        )
        took = time.perf_counter() - began
        if ok and done.returncode != 0:
            sys.exit(f"{self.name}: {shlex.join(command)} failed ({done.returncode})\n{done.stderr[-2000:]}")
        return took

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def round(self, number: int) -> None:
        os.sync()  # neither side pays for what the other left to the disk
        self.note("pull", self.run([*self.pull, name(number)]))
        for _ in range(3):
            self.note("pull again, nothing new", self.run([*self.pull, name(number)]))


def layers(megabytes: int, round_number: int) -> Iterator[bytes]:
    """Tars of real files (this machine's /usr), so that sizes, counts and compressibility are those of real images."""
    files = (Path(folder) / name for folder, _, names in sorted(os.walk("/usr")) for name in sorted(names))
    for number, share in enumerate(SHARES):
        buffer, left = io.BytesIO(), int(megabytes * share * 1e6)
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in files:
                info = tar.gettarinfo(str(path), f"round{round_number}/layer{number}{path}")
                if not (info.isreg() or info.issym()) or info.size > 64e6:
                    continue
                with path.open("rb") if info.isreg() else contextlib.nullcontext() as content:
                    tar.addfile(info, content)
                left -= info.size
                if left <= 0:
                    break
        yield buffer.getvalue()


def archive(path: Path, megabytes: int, number: int) -> None:
    """A `docker save` archive of the image of one round."""
    tars = list(layers(megabytes, number))
    diff_ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    named = [(f"{place}.tar", tar) for place, tar in enumerate(tars)]
    manifest = [{"Config": "config.json", "RepoTags": [name(number)], "Layers": [member for member, _ in named]}]
    with tarfile.open(path, "w") as out:
        for member, content in [*named, ("config.json", config), ("manifest.json", json.dumps(manifest).encode())]:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


@contextlib.contextmanager
def registry(home: Path) -> Iterator[None]:
    """Debian's docker-registry on loopback."""
    (home / "registry.yml").write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {home}/registry}}}}\nhttp: {{addr: '127.0.0.1:{PORT}', secret: x}}\n"
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(home / "registry.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def sides(pycompose: str, home: Path) -> list[Side]:
    """Ours on a store of its own, and the reference when there is one."""
    ours = {"PYCOMPOSE_ROOT": str(home / "root"), "PYCOMPOSE_RUN": str(home / "run")}
    found = [Side("pycompose", [pycompose, "image", "pull"], [pycompose, "image", "rm"], ours)]
    reference = os.environ.get("PYCOMPOSE_REFERENCE")
    if reference:
        docker = shlex.split(reference)
        docker = docker[:-1] if docker[-1] == "compose" else docker
        found.append(Side("reference", [*docker, "pull"], [*docker, "rmi", "-f"]))
    return found


def publish(pycompose: str, home: Path, megabytes: int, number: int) -> None:
    """Put the image of one round into the registry, and leave nothing of it in the store that is measured."""
    environment = {**os.environ, "PYCOMPOSE_ROOT": str(home / "publish"), "PYCOMPOSE_RUN": str(home / "publish-run")}
    archive(home / "image.tar", megabytes, number)
    for words in (["load", "-q", str(home / "image.tar")], ["push", "-q", name(number)]):
        subprocess.run([pycompose, "image", *words], env=environment, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--pycompose", default=shutil.which("pycompose") or "pycompose")
    parser.add_argument("--directory", default="/var/tmp", help="where the store and the registry's data lie (a real disk)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycompose-bench-", dir=options.directory) as folder, registry(Path(folder)):
        home = Path(folder)
        for number in range(options.rounds):
            publish(options.pycompose, home, options.megabytes, number)
        measured = sides(options.pycompose, home)
        for number in range(options.rounds):
            for side in measured:
                side.round(number)
        for side in measured:
            side.run([*side.remove, *(name(number) for number in range(options.rounds))], ok=False)
    print(table([side.figures for side in measured], {name: (limit, None) for name, limit in BUDGETS.items()}))


if __name__ == "__main__":
    main()
