"""``--chmod`` (octal or symbolic, chmod(1)) and ``--chown`` (names looked up in the image). Pure but for reading the image's passwd and group."""

from __future__ import annotations

import re
from collections.abc import Callable

from runtime.build.view import View
from runtime.record import dataclass


@dataclass(frozen=True, slots=True)
class Mode:
    """A ``--chmod``: ``change`` takes old mode bits and whether it is a directory; ``created`` is the mode of directories made on the way."""

    change: Callable[[int, bool], int]
    created: int = 0o755


_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_OPERATION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}


def parse_mode(text: str) -> Mode:
    """How a mode changes. Raises ValueError."""
    if re.fullmatch(r"[0-7]{1,5}", text):
        fixed = int(text, 8)
        if fixed > 0o7777:
            raise ValueError(f"invalid chmod parameter: {text!r} is above 7777")
        # made by mkdir(2) under the usual umask, as BuildKit makes them
        return Mode(lambda _old, _directory: fixed, fixed & 0o755)
    clauses = [_CLAUSE.fullmatch(part) for part in text.split(",")]
    if not text or None in clauses:
        raise ValueError(f"invalid chmod parameter: {text!r}; write an octal number (0644) or a symbolic mode (u=rwX,go=rX)")
    steps = [(m[1], operation) for m in clauses if m is not None for operation in _OPERATION.findall(m[2])]

    def change(old: int, directory: bool) -> int:
        for who, (operator, letters) in steps:
            old = _step(old, who or "a", operator, letters, directory)
        return old

    return Mode(change)


def _step(old: int, who: str, operator: str, letters: str, directory: bool) -> int:
    classes = "ugo" if "a" in who else who
    bits = mask = 0
    for name in classes:
        shift = _SHIFT[name]
        mask |= 7 << shift
        bits |= _permissions(old, letters, directory) << shift
        if "s" in letters and name in "ug":
            bits |= 0o4000 if name == "u" else 0o2000
    if "t" in letters and ("a" in who or "u" in who):
        bits |= 0o1000
    if operator == "+":
        return old | bits
    if operator == "-":
        return old & ~bits
    return (old & ~mask) | bits


def _permissions(old: int, letters: str, directory: bool) -> int:
    if letters in ("u", "g", "o") and letters:
        return (old >> _SHIFT[letters]) & 7
    found = 0
    for letter in letters:
        if letter == "X":
            found |= 1 if directory or old & 0o111 else 0
        else:
            found |= {"r": 4, "w": 2, "x": 1}.get(letter, 0)
    return found


def parse_owner(text: str, view: View) -> tuple[int, int]:
    """(uid, gid) of ``user[:group]``; names are looked up in the image's /etc/passwd and /etc/group, a number alone is both.

    A user that the image does not know is root, and an unknown group the user's own, as BuildKit has it (solver/llbsolver/file/user_linux.go).
    Raises ValueError for names when there is no image at all.
    """
    user, colon, group = text.partition(":")
    if not view.layers and not (user.isdigit() and (not group or group.isdigit())):
        raise ValueError(f"{text!r} is a name, and an image made from scratch knows no names yet; write numbers")
    uid, gid = _user(user, view)
    if colon and group:
        gid = int(group) if group.isdigit() else _group(group, view, gid)
    return uid, gid


def _user(user: str, view: View) -> tuple[int, int]:
    if user.isdigit():
        return int(user), int(user)
    for fields in _table("/etc/passwd", view):
        if len(fields) > 3 and fields[0] == user and fields[2].isdigit() and fields[3].isdigit():
            return int(fields[2]), int(fields[3])
    return 0, 0


def _group(group: str, view: View, otherwise: int) -> int:
    for fields in _table("/etc/group", view):
        if len(fields) > 2 and fields[0] == group and fields[2].isdigit():
            return int(fields[2])
    return otherwise


def _table(path: str, view: View) -> list[list[str]]:
    content = view.read(path) or b""
    return [line.split(":") for line in content.decode("utf-8", "surrogateescape").splitlines() if line and not line.startswith("#")]
