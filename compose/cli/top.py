"""``top``."""

from __future__ import annotations

import time
from typing import Protocol

import click

from compose.cli import listing, output, project, table
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from runtime import observe

_HEADINGS = ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
_DAY = 86400


class Process(Protocol):
    """A process as ``runtime.observe.processes_of`` gives it; ``started`` in seconds since the epoch."""

    @property
    def user(self) -> str:
        """Its owner's name."""

    @property
    def pid(self) -> int:
        """Its number on the host."""

    @property
    def parent(self) -> int:
        """Its parent's number."""

    @property
    def cpu_percent(self) -> int:
        """Of one CPU, over its life."""

    @property
    def started(self) -> float:
        """When it began."""

    @property
    def terminal(self) -> str:
        """Its terminal, or ?."""

    @property
    def cpu_seconds(self) -> float:
        """What it has used."""

    @property
    def command(self) -> str:
        """Its arguments."""


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICES...]")
@click.pass_obj
def top(options: GlobalOptions, services: tuple[str, ...]) -> None:
    """Display the running processes."""
    rows = [
        [listing.service(state), str(listing.number(state)), *_row(process)]
        for state in project.containers(options, services, oneoffs=True)
        for process in observe.processes_of(state)
    ]
    if rows:
        output.write(table.aligned([_HEADINGS, *rows], minimum=4, padding=2))


def _row(process: Process) -> list[str]:
    used = int(process.cpu_seconds)
    return [
        process.user,
        str(process.pid),
        str(process.parent),
        str(process.cpu_percent),
        _started(process.started),
        process.terminal,
        f"{used // 3600:02d}:{used // 60 % 60:02d}:{used % 60:02d}",
        process.command,
    ]


def _started(moment: float) -> str:
    return time.strftime("%H:%M" if time.time() - moment < _DAY else "%b%d", time.localtime(moment))
