"""Who a process runs as: ``user`` and ``group_add`` looked up in the container's own passwd and group files. Pure; in the container child.

Rules as Docker's: a number needs no entry; without an entry the group is 0 and the home /; a group given by hand replaces the user's own ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runtime.errors import LaunchError
from runtime.record import compiled, dataclass

_LARGEST = 2**31 - 1  # ids above are refused as by Docker
_LONGEST_NUMBER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Numbers to take on, and the home directory for HOME."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


compiled(Identity, _Account)


def identify(user: str, group_add: Sequence[str], passwd: str, group: str) -> Identity:
    """The identity of ``user`` ("", name, number, each with an optional ":group"); ``passwd`` and ``group`` are the files' texts.

    Raises LaunchError when a name has no entry.
    """
    name, _, group_name = user.partition(":")
    name = name or "0"
    account = _find_account(name, passwd)
    if account is None:
        account = _Account("", _number(name, "user", "passwd"), 0, "/")
    if not (account.uid <= _LARGEST and account.gid <= _LARGEST):
        raise LaunchError("user", f"uids and gids must be in range 0-{_LARGEST}: {name}", exit_code=1)
    gid = _group(group_name, group) if group_name else account.gid
    own = [] if group_name else _memberships(account.name, group)
    added = [_group(g, group) for g in group_add]
    return Identity(uid=account.uid, gid=gid, groups=tuple(dict.fromkeys([gid, *own, *added])), home=account.home or "/")


def _rows(text: str, columns: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        row = line.strip().split(":")
        if len(row) >= columns and not line.startswith("#"):
            yield row


def _find_account(name: str, passwd: str) -> _Account | None:
    for row in _rows(passwd, 6):
        if (row[0] == name or row[2] == name) and _is_number(row[2]) and _is_number(row[3]):
            return _Account(row[0], int(row[2]), int(row[3]), row[5])
    return None


def _memberships(name: str, group: str) -> list[int]:
    return [int(row[2]) for row in _rows(group, 4) if name and name in row[3].split(",") and _is_number(row[2])]


def _group(name: str, group: str) -> int:
    for row in _rows(group, 3):
        if name in (row[0], row[2]) and _is_number(row[2]):
            return int(row[2])
    return _number(name, "group", "group")


def _number(name: str, what: str, file: str) -> int:
    if not (name.isascii() and name.isdigit()):
        raise LaunchError("user", f"unable to find {what} {name}: no matching entries in {file} file", exit_code=1)
    if not _is_number(name) or int(name) > _LARGEST:
        raise LaunchError("user", f"uids and gids must be in range 0-{_LARGEST}: {name}", exit_code=1)
    return int(name)


def _is_number(text: str) -> bool:
    """Digits that ``int`` takes: it refuses superscripts, which ``isdigit`` knows too, and thousands of digits."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
