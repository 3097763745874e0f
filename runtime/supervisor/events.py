"""What happens to containers, written down and told to whoever listens. In the supervisor's worker.

One JSON object per line in ``<root>/projects/<project>/events.jsonl``: time (ns), type, action, id, service, attributes, as ``docker events`` names them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from runtime.store import Paths

if TYPE_CHECKING:
    from runtime.supervisor.facts import Facts

LONGEST = 1 << 20
_NONE: Mapping[str, str] = {}
Event = dict[str, object]
Subscriber = Callable[[Event], None]


class Events:
    """The project's events: a file, and subscribers."""

    def __init__(self, paths: Paths, project: str) -> None:
        self._paths = paths
        self._project = project
        self.subscribers: list[Subscriber] = []
        self._file = -1

    def emit(self, action: str, facts: Facts, attributes: Mapping[str, str] = _NONE, *, when: int = 0) -> None:
        """Something happened to a container, now or at ``when`` (ns since the epoch)."""
        event = describe(action, facts, when or time.time_ns(), attributes)
        self._write(event)
        for subscriber in self.subscribers[:]:
            subscriber(event)

    def _write(self, event: Event) -> None:
        """Write an event down; the file is put aside at 1 MiB, and one older file is kept."""
        path = f"{self._paths.project(self._project)}/events.jsonl"
        line = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        if self._file >= 0 and os.fstat(self._file).st_nlink == 0:  # the project was removed and may be made again
            self._close()
        try:
            if self._file < 0:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # the project is just being removed
            return
        os.write(self._file, line)
        if os.fstat(self._file).st_size > LONGEST:
            os.replace(path, f"{path}.1")
            self._close()

    def _close(self) -> None:
        os.close(self._file)
        self._file = -1


def describe(action: str, facts: Facts, when: int, attributes: Mapping[str, str]) -> Event:
    """An event as a JSON object."""
    named = {"image": facts.image, "name": facts.name}
    return {
        "time": when,
        "type": "container",
        "action": action,
        "id": facts.id,
        "service": facts.service,
        "attributes": {**facts.labels, **named, **attributes},
    }
