#!/usr/bin/env python3
"""Builds the same Dockerfiles with pycompose and with Docker Compose and prints every difference of the images.

usage: python -m tests.builds.compare [--record] [--history] [--well-known MIRROR] [NAME…]

The reference is found by environment variables, as in ``bench``: PYCOMPOSE_REFERENCE (the command that stands for ``docker compose``),
PYCOMPOSE_REFERENCE_ENGINE (the one for ``docker``), PYCOMPOSE_REFERENCE_DIRECTORY (HOST_PATH:PATH_IT_SEES). ``--record`` writes what the
reference answered to ``expected/``, which the tests compare with; NAME… chooses cases by the beginning of their titles.
``--well-known`` builds the projects in ``wellknown/`` instead, with the packages that ``mirror.py`` put into MIRROR; both sides need the
same ``debian:bookworm-slim``.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.builds.cases import BASE, BASE_CHANGES, HERE, Case, WellKnown, all_cases, base_tar, ended, well_known
from tests.builds.images import describe

PROJECT = f"buildcase{os.getpid()}"
CHANGING = (
    r"var/log/.*",
    r"etc/machine-id",
    r"etc/ssl/certs/java/cacerts",
    r".*\.gem",
    r".*\.pyc",  # of a virtual environment: they hold the time of its making
    r"var/cache/ldconfig/aux-cache",
    r"var/cache/apt/.*\.bin",
    r"var/cache/debconf/.*",
    r"etc/ssl/.*snakeoil.*",
    r"var/spool/cron/crontabs/.*",
)


@dataclass
class Side:
    """One builder: how compose commands and image commands are called, and where its files lie."""

    compose: list[str]
    images: list[str]
    host: Path
    seen: str

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=900, **options)

    def answer(self, case: Case | WellKnown, **options: Any) -> tuple[dict[str, Any], str]:
        """What building a case gives, and what was printed."""
        directory = self.host / "cases" / case.title
        shutil.rmtree(directory, ignore_errors=True)
        case.lay_out(directory)
        file = f"{self.seen}/cases/{case.title}/compose.yaml"
        done = self.run([*self.compose, "-p", PROJECT, "-f", file, "--progress", "plain", "build", *case.arguments])
        printed = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode:
            return ended(done.returncode, printed), printed
        return self.described(f"{PROJECT}-main", **options), printed

    def described(self, image: str, **options: Any) -> dict[str, Any]:
        archive = self.host / f"{PROJECT}.tar"
        done = self.run([*self.images, "save", "-o", f"{self.seen}/{PROJECT}.tar", image])
        if done.returncode:
            sys.exit(done.stderr.decode())
        try:
            return describe(archive, **options)
        finally:
            archive.unlink(missing_ok=True)
            if image.startswith(PROJECT):
                self.run([*self.images, "rm", image])

    def give_mirror(self, mirror: Path) -> None:
        """The packages, as hard links where that can be; what an earlier run left there is taken as it is."""
        if not (self.host / "mirror").exists():
            shutil.copytree(mirror, self.host / "mirror", copy_function=_link)

    def give_base(self) -> None:
        (self.host / "base.tar").write_bytes(base_tar())
        changes = [word for change in BASE_CHANGES for word in ("-c", change)]
        done = self.run([*self.images, "import", *changes, f"{self.seen}/base.tar", BASE])
        if done.returncode:
            sys.exit(done.stderr.decode())


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def sides(ours: Path) -> tuple[Side, Side | None]:
    """Ours, and the reference if there is one."""
    program = shutil.which("pycompose") or "pycompose"
    mine = Side([program], [program, "image"], ours, str(ours))
    reference = os.environ.get("PYCOMPOSE_REFERENCE")
    if not reference:
        return mine, None
    host, _, seen = os.environ.get("PYCOMPOSE_REFERENCE_DIRECTORY", str(ours)).partition(":")
    engine = shlex.split(os.environ.get("PYCOMPOSE_REFERENCE_ENGINE", "docker"))
    return mine, Side(shlex.split(reference), [*engine, "image"], Path(host), seen or host)


def lines(answer: dict[str, Any], *, history: bool) -> list[str]:
    shown = answer if history else {k: v for k, v in answer.items() if k != "history"}
    return json.dumps(shown, indent=1, ensure_ascii=False, sort_keys=True).splitlines()


def without_base(answer: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """An answer without the layers and lines of history that the base image brought."""
    if "layers" not in answer:
        return answer
    layers, history = answer["layers"], answer["history"]
    if layers[:1] == base["layers"]:
        layers, history = layers[1:], [line for line in history if line not in base["history"]]
    return {**answer, "layers": layers, "history": history}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--history", action="store_true", help="compare the history, too")
    parser.add_argument("--show", action="store_true", help="print what both sides said")
    parser.add_argument("--well-known", type=Path, metavar="MIRROR")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycompose-builds-", dir="/var/tmp") as ours:
        mine, reference = sides(Path(ours))
        if reference is None:
            sys.exit("set PYCOMPOSE_REFERENCE (and PYCOMPOSE_REFERENCE_ENGINE, PYCOMPOSE_REFERENCE_DIRECTORY)")
        known: list[Case | WellKnown] = list(well_known() if options.well_known else all_cases())
        chosen = [c for c in known if not options.names or any(c.title.startswith(n) for n in options.names)]
        different = compare(mine, reference, chosen, options)
    print(f"{len(chosen)} cases, {different} different")
    sys.exit(1 if different else 0)


def compare(mine: Side, reference: Side, chosen: list[Case | WellKnown], options: argparse.Namespace) -> int:
    """Build every case on both sides; how many differ."""
    bases = []
    for side in (mine, reference):
        if options.well_known:
            side.give_mirror(options.well_known)
        else:
            side.give_base()
        bases.append(side.described("debian:bookworm-slim" if options.well_known else BASE))
    different = 0
    for case in chosen:
        (ours, said), (theirs, told) = mine.answer(case, ignored=changing), reference.answer(case, ignored=changing)
        ours, theirs = without_base(ours, bases[0]), without_base(theirs, bases[1])
        if theirs.get("lines") == []:
            ours.pop("lines", None), theirs.pop("lines")
        if options.record and isinstance(case, Case):
            record(case, theirs)
        one, other = lines(theirs, history=options.history), lines(ours, history=options.history)
        same = one == other
        different += not same
        print(f"{'equal    ' if same else 'DIFFERENT'} {case.title}{'' if 'layers' in theirs else '  (fails)'}", flush=True)
        if not same:
            print("\n".join(f"    {line}" for line in difflib.unified_diff(one, other, "reference", "ours", lineterm="", n=1)))
        if options.show or (not same and "layers" not in {**ours, **theirs}):
            print(f"--- reference said\n{told}\n--- ours said\n{said}")
    return different


def changing(name: str) -> bool:
    """Files that hold the time of the build or random numbers: their bytes are not compared."""
    return any(re.fullmatch(pattern, name) for pattern in CHANGING)


def record(case: Case, answer: dict[str, Any]) -> None:
    """Keep the reference's answer."""
    path = HERE / "expected" / f"{case.subject}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[case.name] = answer
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
