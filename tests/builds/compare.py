#!/usr/bin/env python3
"""Builds the same Dockerfiles with pycompose and with Docker Compose and prints every difference of the images.

usage: python -m tests.builds.compare [--record] [--history] [NAME…]

The reference is found by environment variables, as in ``bench``: PYCOMPOSE_REFERENCE (the command that stands for ``docker compose``),
PYCOMPOSE_REFERENCE_ENGINE (the one for ``docker``), PYCOMPOSE_REFERENCE_DIRECTORY (HOST_PATH:PATH_IT_SEES). ``--record`` writes what the
reference answered to ``expected/``, which the tests compare with; NAME… chooses cases by the beginning of their titles.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.builds.cases import BASE, BASE_CHANGES, HERE, Case, all_cases, base_tar, ended
from tests.builds.images import describe

PROJECT = "buildcase"


@dataclass
class Side:
    """One builder: how compose commands and image commands are called, and where its files lie."""

    compose: list[str]
    images: list[str]
    host: Path
    seen: str

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=900, **options)

    def answer(self, case: Case) -> tuple[dict[str, Any], str]:
        """What building a case gives, and what was printed."""
        directory = self.host / "cases" / case.title
        shutil.rmtree(directory, ignore_errors=True)
        case.lay_out(directory, PROJECT)
        file = f"{self.seen}/cases/{case.title}/compose.yaml"
        done = self.run([*self.compose, "-f", file, "--progress", "plain", "build", *case.arguments])
        printed = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode:
            return ended(done.returncode, printed), printed
        return self.described(f"{PROJECT}-main"), printed

    def described(self, image: str, **options: Any) -> dict[str, Any]:
        archive = self.host / "image.tar"
        done = self.run([*self.images, "save", "-o", f"{self.seen}/image.tar", image])
        if done.returncode:
            sys.exit(done.stderr.decode())
        try:
            return describe(archive, **{"skip": 0, **options})
        finally:
            archive.unlink(missing_ok=True)

    def give_base(self) -> None:
        (self.host / "base.tar").write_bytes(base_tar())
        changes = [word for change in BASE_CHANGES for word in ("-c", change)]
        done = self.run([*self.images, "import", *changes, f"{self.seen}/base.tar", BASE])
        if done.returncode:
            sys.exit(done.stderr.decode())


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
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycompose-builds-", dir="/var/tmp") as ours:
        mine, reference = sides(Path(ours))
        if reference is None:
            sys.exit("set PYCOMPOSE_REFERENCE (and PYCOMPOSE_REFERENCE_ENGINE, PYCOMPOSE_REFERENCE_DIRECTORY)")
        chosen = [c for c in all_cases() if not options.names or any(c.title.startswith(n) for n in options.names)]
        different = compare(mine, reference, chosen, options)
    print(f"{len(chosen)} cases, {different} different")
    sys.exit(1 if different else 0)


def compare(mine: Side, reference: Side, chosen: list[Case], options: argparse.Namespace) -> int:
    """Build every case on both sides; how many differ."""
    bases = []
    for side in (mine, reference):
        side.give_base()
        bases.append(side.described(BASE))
    different = 0
    for case in chosen:
        (ours, said), (theirs, told) = mine.answer(case), reference.answer(case)
        ours, theirs = without_base(ours, bases[0]), without_base(theirs, bases[1])
        if options.record:
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


def record(case: Case, answer: dict[str, Any]) -> None:
    """Keep the reference's answer."""
    path = HERE / "expected" / f"{case.subject}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[case.name] = answer
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
