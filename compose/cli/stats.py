"""``stats``: what containers use, live."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click

from compose.cli import human, output, project, table
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from runtime import observe
from runtime.observe import Usage
from runtime.state import ContainerState

COLUMNS = {
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_FIRST = 0.5
_EVERY = 1.0
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("-a", "--all", "everything", is_flag=True, help="Show stopped containers, too.")
@click.option("--format", "form", default="table", help="table, table TEMPLATE, json or a Go TEMPLATE.")
@click.option("--no-stream", is_flag=True, help="Show one result and end.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.pass_obj
def stats(options: GlobalOptions, services: tuple[str, ...], everything: bool, form: str, no_stream: bool, no_trunc: bool) -> None:
    """Display a live stream of container(s) resource usage statistics."""
    before: dict[str, Usage] = {}
    limit = _host_memory()
    pause = _FIRST
    while True:
        states = project.containers(options, services, stopped=everything, oneoffs=True)
        now = {s.spec.id: observe.usage(s) for s in states}
        if before or not states:
            rows = [_row(s, before.get(s.spec.id, now[s.spec.id]), now[s.spec.id], limit, truncate=not no_trunc) for s in states]
            _show(rows, form, live=not no_stream)
            if no_stream:
                return
            pause = _EVERY
        before = now
        time.sleep(pause)


def _show(rows: Sequence[dict[str, object]], form: str, *, live: bool) -> None:
    text = table.formatted(rows, form, columns=COLUMNS)
    if live and output.coloured(sys.stdout) and sys.stdout.isatty():
        text = _HOME + text.replace("\n", f"{_CLEAR_LINE}\n") + _CLEAR_REST
    output.write(text)
    output.flush()


def _row(state: ContainerState, before: Usage, now: Usage, host_memory: int, *, truncate: bool) -> dict[str, object]:
    counted = now.counted
    limit = min(counted.memory_limit or host_memory, host_memory)
    elapsed = max(now.at - before.at, 1)
    cpu = 100 * max(counted.cpu_usage - before.counted.cpu_usage, 0) / elapsed
    return {
        "BlockIO": f"{human.size(counted.read_bytes)} / {human.size(counted.write_bytes)}",
        "CPUPerc": f"{cpu:.2f}%",
        "Container": state.spec.id,
        "ID": state.spec.id[:12] if truncate else state.spec.id,
        "MemPerc": f"{100 * counted.memory / limit:.2f}%",
        "MemUsage": f"{human.memory(counted.memory)} / {human.memory(limit)}",
        "Name": state.spec.name,
        "NetIO": f"{human.size(now.received_bytes)} / {human.size(now.sent_bytes)}",
        "PIDs": str(counted.pids),
    }


def _host_memory() -> int:
    """Bytes of memory this machine has (proc(5), MemTotal in KiB)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(file.readline().split()[1]) * 1024
