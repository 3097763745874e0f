"""Writes an archive's members one after another to a file that need not seek (a pipe to `ssh`, say)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from runtime.errors import ImageError
from runtime.images.tarheader import BLOCK, header


class TarWriter:
    """A tar being written; the same members give the same bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def directory(self, name: str) -> None:
        """A directory, 0755."""
        self._file.write(header(f"{name}/".encode(), b"5", mode=0o755))

    def member(self, name: str, data: bytes) -> None:
        """A small file."""
        self.stream(name, len(data), (data,))

    def stream(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """A file of known size out of chunks. Raises ImageError when they are of another length."""
        self._file.write(header(name.encode(), b"0", size=size))
        written = 0
        for chunk in chunks:
            self._file.write(chunk)
            written += len(chunk)
        if written != size:
            raise ImageError(f"{name} has {written} bytes instead of {size}", hint="`image verify` lists what is damaged")
        self._file.write(bytes(-size % BLOCK))

    def close(self) -> None:
        """End the archive; the file stays open."""
        self._file.write(bytes(2 * BLOCK))
        self._file.flush()
