"""Reading a project's events as they are written down, across rotation, without asking anybody. In the command's process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from runtime.store import paths


class Journal:
    """A place in ``events.jsonl``: ``new`` gives what was appended since. It begins at the present end."""

    def __init__(self, project: str) -> None:
        self._path = f"{paths().project(project)}/events.jsonl"
        self._inode, self._offset = self._end()

    def new(self) -> Iterator[dict[str, Any]]:
        """Events since the last time; each has time (ns), type, action, id, service and attributes."""
        inode, size = self._end()
        if inode != self._inode:
            yield from self._read(f"{self._path}.1", self._inode)
            self._inode, self._offset = inode, 0
        if size != self._offset:
            yield from self._read(self._path, inode)

    def _read(self, path: str, inode: int) -> Iterator[dict[str, Any]]:
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_ino != inode:
                    return
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            yield json.loads(line)

    def _end(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size
