#!/usr/bin/env python3
"""Side by side with Docker Compose: whole-process wall times and what stays in memory, as ratios against the budgets.

usage: bench/compare.py [--rounds 3] [--pycompose PATH] [--only up50,ps]     (see README.md here for the environment)
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from report import table

COMMAND = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]
BUDGETS = {
    "up -d, 1 service": (0.7, 0.35),
    "up -d, 10 services": (0.25, 0.15),
    "up -d, 50 services": (0.1, 0.06),
    "up -d again, 50 services": (0.7, 0.35),
    "ps, 50 services": (0.5, 0.25),
    "exec true": (0.4, 0.2),
    "down, 50 services": (0.08, 0.04),
    "config, 50 services": (0.7, 0.35),
    "config, 1000 services": (1.0, 0.5),
    "memory (PSS), 50 containers, MB": (0.06, 0.03),
}


@dataclass
class Side:
    """One implementation: its command, where it sees the projects, and what stays running of it."""

    name: str
    command: list[str]
    host: Path
    seen: str
    processes: tuple[str, ...]
    figures: dict[str, list[float]] = field(default_factory=dict)

    def run(self, project: str, *arguments: str) -> float:
        command = [*self.command, "-f", f"{self.seen}/{project}/compose.yaml", "-p", project, *arguments]
        began = time.perf_counter()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        if done.returncode != 0:
            sys.exit(f"{self.name}: {shlex.join(command)} failed ({done.returncode})\n{done.stderr[-2000:]}")
        return took

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def memory(self) -> float:
        """PSS in MB of everything of this side that stays running (proc_pid_smaps_rollup(5))."""
        total = 0
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if any(p in line for p in self.processes):
                    rows = (entry / "smaps_rollup").read_text().splitlines()
                    total += sum(int(r.split()[1]) for r in rows if r.startswith("Pss:"))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return total / 1024


def write_project(side: Side, project: str, services: int) -> None:
    folder = side.host / project
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"name: {project}", "services:"]
    for number in range(services):
        rows += [f"  s{number}:", "    image: busybox:latest", f"    command: {COMMAND!r}", "    environment:", f"      NUMBER: '{number}'"]
    (folder / "compose.yaml").write_text("\n".join(rows) + "\n")


def lifecycle(side: Side, services: int) -> None:
    project = f"bench{services}"
    write_project(side, project, services)
    plural = "service" if services == 1 else "services"
    side.note(f"up -d, {services} {plural}", side.run(project, "up", "-d"))
    if services == 50:
        side.note("up -d again, 50 services", side.run(project, "up", "-d"))
        side.note("ps, 50 services", side.run(project, "ps"))
        side.note("exec true", side.run(project, "exec", "-T", "s7", "true"))
        side.note("memory (PSS), 50 containers, MB", side.memory())
    took = side.run(project, "down")
    if services == 50:
        side.note("down, 50 services", took)


def loading(side: Side, services: int) -> None:
    project = f"config{services}"
    write_project(side, project, services)
    side.note(f"config, {services} services", side.run(project, "config"))


def measure(sides: list[Side], rounds: int) -> None:
    for _ in range(rounds):
        for services in (1, 10, 50):
            for side in sides:
                lifecycle(side, services)
        for services in (50, 1000):
            for side in sides:
                loading(side, services)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pycompose", default=shutil.which("pycompose") or "pycompose")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycompose-bench-") as ours:
        sides = [Side("pycompose", [options.pycompose], Path(ours), ours, ("of bench50 (",))]
        reference = os.environ.get("PYCOMPOSE_REFERENCE")
        if reference:
            host, _, seen = os.environ.get("PYCOMPOSE_REFERENCE_DIRECTORY", ours).partition(":")
            programs = ("dockerd", "containerd", "docker-proxy")
            sides.append(Side("reference", shlex.split(reference), Path(host), seen or host, programs))
        measure(sides, options.rounds)
    print(table([side.figures for side in sides], BUDGETS))


if __name__ == "__main__":
    main()
