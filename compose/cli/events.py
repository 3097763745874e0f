"""``events``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from compose.cli import human, output, project, table, times
from compose.cli.group import Command
from compose.cli.journal import Journal
from compose.cli.options import GlobalOptions
from runtime import observe

_PAUSE = 0.1
_OURS = "com.docker.compose."


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--since", default="", metavar="TIME", help="Show events from this time on.")
@click.option("--until", default="", metavar="TIME", help="Stop at this time.")
@click.pass_obj
def events(options: GlobalOptions, services: tuple[str, ...], as_json: bool, since: str, until: str) -> None:
    """Receive real time events from containers."""
    name = project.name(options)
    now = time.time_ns()
    last = times.moment(until, now) if until else None
    for event in _events(name, times.moment(since, now) if since else None, last):
        if not services or event.get("service") in services:
            output.data(_json(event) if as_json else _text(event))
            output.flush()


def _events(name: str, since: int | None, until: int | None) -> Iterator[Mapping[str, Any]]:
    journal = Journal(name)
    if since is not None:
        yield from (e for e in observe.events(name) if since <= _when(e) and (until is None or _when(e) <= until))
    while until is None or time.time_ns() <= until:
        yield from journal.new()
        time.sleep(_PAUSE)


def _when(event: Mapping[str, object]) -> int:
    return int(str(event["time"]))


def _shown(event: Mapping[str, Any]) -> dict[str, str]:
    return {k: v for k, v in sorted(event["attributes"].items()) if not k.startswith(_OURS)}


def _text(event: Mapping[str, Any]) -> str:
    seconds, rest = divmod(_when(event), 10**9)
    stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{rest // 1000:06d}"
    attributes = ", ".join(f"{k}={v}" for k, v in _shown(event).items())
    return f"{stamp} {event['type']} {event['action']} {event['id']} ({attributes})"


def _json(event: Mapping[str, Any]) -> str:
    return table.as_json(
        {
            "time": human.timestamp(_when(event)),
            "type": event["type"],
            "service": event["service"],
            "id": event["id"],
            "action": event["action"],
            "attributes": _shown(event),
        }
    )
