"""The user's terminal joined to a container's: raw mode, size, bytes both ways, keys that detach. In the command's process."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field

from compose.cli import output
from compose.errors import UsageError
from runtime.record import dataclass

_CHUNK = 1 << 16
_NAMED_KEYS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}
DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"


@dataclass(slots=True)
class DetachKeys:
    """A sequence of keys that detaches ("ctrl-p,ctrl-q"): fed with input, says what is to be sent, and whether the sequence is complete."""

    sequence: bytes
    _seen: int = field(default=0, init=False)

    @classmethod
    def parse(cls, text: str) -> DetachKeys:
        """Read ``--detach-keys``. Raises UsageError."""
        return cls(bytes(_key(part) for part in text.split(",") if part))

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes to pass on, and whether the user wants to leave."""
        passed = bytearray()
        for byte in data:
            if self.sequence and byte == self.sequence[self._seen]:
                self._seen += 1
                if self._seen == len(self.sequence):
                    return bytes(passed), True
                continue
            passed += self.sequence[: self._seen] + bytes([byte])
            self._seen = 0
        return bytes(passed), False


def _key(text: str) -> int:
    name = text.lower()
    if len(text) == 1 and text.isascii():
        return ord(text)
    control = name.removeprefix("ctrl-")
    if name.startswith("ctrl-") and len(control) == 1 and ("a" <= control <= "z" or control in _NAMED_KEYS):
        return _NAMED_KEYS.get(control, ord(control) & 0x1F)
    raise UsageError(f"invalid detach key {text!r}", hint="a letter, or ctrl- and a letter, separated by commas: ctrl-p,ctrl-q")


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """The terminal in raw mode (every key goes to the container), as it was afterwards; nothing when it is none."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def size(descriptor: int = 1) -> tuple[int, int]:
    """Rows and columns of the user's terminal (0, 0 when it has none)."""
    for candidate in (descriptor, 0, 2):
        try:
            rows, columns = struct.unpack("HHHH", fcntl.ioctl(candidate, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        except OSError:
            continue
        if rows and columns:
            return rows, columns
    return 0, 0


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Tell a pseudo-terminal its size (tty_ioctl(4)); its foreground programs get SIGWINCH."""
    if rows and columns:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def on_resize(action: Callable[[], None]) -> Iterator[None]:
    """Call ``action`` when the user's terminal changes its size."""
    before = signal.signal(signal.SIGWINCH, lambda *_: action())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def pump(terminal: int, ended: int) -> None:
    """Copy between the user and the master end of a pseudo-terminal until the process behind pidfd ``ended`` is gone and nothing is left."""
    inputs = {terminal, ended, sys.stdin.fileno()}
    while True:
        ready = select.select(inputs, (), ())[0]
        if terminal in ready and not _to_user(terminal):
            return
        if terminal in ready:
            continue
        if ended in ready:
            _drain(terminal)
            return
        if sys.stdin.fileno() in ready:
            data = os.read(sys.stdin.fileno(), _CHUNK)
            if data:
                _write_all(terminal, data)
            else:
                inputs.discard(sys.stdin.fileno())
                _write_all(terminal, b"\x04")  # end of file, as a terminal spells it


def _to_user(terminal: int) -> bool:
    try:
        data = os.read(terminal, _CHUNK)
    except OSError:  # EIO: nobody has the other end open any more (pty(7))
        return False
    if data:
        output.write_bytes(data)
    return bool(data)


def _drain(terminal: int) -> None:
    while select.select([terminal], (), (), 0)[0] and _to_user(terminal):
        continue


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
