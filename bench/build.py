#!/usr/bin/env python3
"""Builds side by side with Docker Compose: ten steps over a context of 5,000 files, cold, with nothing changed, with one file changed, without cache.

usage: bench/build.py [--rounds 3] [--pycompose PATH]     (see README.md here for the environment)
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from compare import Side
from report import table

FILES, FOLDERS, SIZE = 5000, 100, 2000
DOCKERFILE = """\
FROM busybox:latest
ARG ROUND
WORKDIR /app
COPY manifest.txt ./
RUN echo "$ROUND" > /round && sort manifest.txt > sorted.txt
RUN mkdir -p /opt/tools && cp /bin/busybox /opt/tools/
COPY . .
RUN find . -type f | wc -l > /count
RUN find . -name 'file1*' -exec cat {} + | md5sum > /sums
COPY --chown=1000:1000 d0 /srv/own
RUN adduser -D -u 1000 app 2>/dev/null || echo app:x:1000:1000::/:/bin/sh >> /etc/passwd
WORKDIR /srv
USER 1000
CMD ["true"]
"""
BUDGETS = {
    "build, cold": 1.0,
    "build again, nothing changed": 0.5,
    "build again, every file touched": 1.0,
    "build again, one file changed": 1.0,
    "build --no-cache, warm store": 1.0,
}


def write_context(side: Side, project: str, number: int) -> Path:
    """A project whose context nobody has built before: every file holds the round's number."""
    folder = side.host / project
    chance = random.Random(number)  # the same bytes on both sides
    for name in range(FILES):
        path = folder / f"d{name % FOLDERS}" / f"file{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number} {name}\n{chance.randbytes(SIZE // 2).hex()}\n")
    (folder / "manifest.txt").write_text(f"z\na\n{number}\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text("compose.yaml\n**/*.tmp\n")
    (folder / "compose.yaml").write_text(f"services:\n  main:\n    build:\n      context: .\n      args: {{ROUND: '{number}'}}\n")
    return folder


def one_round(side: Side, number: int) -> None:
    project = f"benchbuild{number % 1000}"
    folder = write_context(side, project, number)
    try:
        side.note("build, cold", side.run(project, "build"))
        side.note("build again, nothing changed", side.run(project, "build"))
        for path in folder.glob("d*/*"):
            path.touch()
        side.note("build again, every file touched", side.run(project, "build"))
        (folder / "d7" / "file7.txt").write_text("changed\n")
        side.note("build again, one file changed", side.run(project, "build"))
        side.note("build --no-cache, warm store", side.run(project, "build", "--no-cache"))
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pycompose", default=shutil.which("pycompose") or "pycompose")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycompose-bench-", dir="/var/tmp") as ours:
        sides = [Side("pycompose", [options.pycompose], Path(ours), ours, ())]
        reference = os.environ.get("PYCOMPOSE_REFERENCE")
        if reference:
            host, _, seen = os.environ.get("PYCOMPOSE_REFERENCE_DIRECTORY", ours).partition(":")
            sides.append(Side("reference", shlex.split(reference), Path(host), seen or host, ()))
        for _ in range(options.rounds):
            number = random.SystemRandom().randrange(1 << 30)
            for side in sides:
                one_round(side, number)
                subprocess.run(["sync"], check=True)
    print(table([side.figures for side in sides], {name: (limit, None) for name, limit in BUDGETS.items()}))


if __name__ == "__main__":
    main()
