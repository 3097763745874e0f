"""Which files changed: looks at a tree again and again, by size and time of change. Needs nothing but stat(2). In the command's process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from runtime.record import dataclass

Seen = Mapping[str, tuple[int, int, int]]
_ALWAYS_IGNORED = ("**/.git", "**/*.swp", "**/*~", "**/.#*", "**/4913")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Paths that count and paths that do not, relative to a rule's path, in .dockerignore's language; a directory stands for what is in it."""

    ignored: tuple[re.Pattern[str], ...]
    included: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, ignore: Iterable[str], include: Iterable[str] = ()) -> Patterns:
        """Read patterns; editors' temporary files and .git never count."""
        return cls(tuple(_compiled(p) for p in (*_ALWAYS_IGNORED, *ignore)), tuple(_compiled(p) for p in include))

    def ignores(self, path: str) -> bool:
        """Whether a path does not count; for a directory: whether nothing in it does."""
        return any(p.fullmatch(path) for p in self.ignored)

    def counts(self, path: str) -> bool:
        """Whether a file counts."""
        return not self.ignores(path) and (not self.included or any(p.fullmatch(path) for p in self.included))


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths that were written and paths that are gone, absolute."""

    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.written or self.removed)


def scan(root: str, patterns: Patterns) -> Seen:
    """Every file below ``root`` (or ``root`` itself) that counts, with time of change (ns), size and inode."""
    if not os.path.isdir(root):
        found = _stamp(root)
        return {root: found} if found else {}
    return dict(_walk(root, "", patterns))


def compare(before: Seen, now: Seen) -> Changes:
    """What happened in between."""
    written = tuple(p for p, stamp in now.items() if before.get(p) != stamp)
    return Changes(written, tuple(p for p in before if p not in now))


def _walk(root: str, below: str, patterns: Patterns) -> Iterator[tuple[str, tuple[int, int, int]]]:
    try:
        entries = list(os.scandir(os.path.join(root, below)))
    except OSError:
        return
    for entry in entries:
        relative = f"{below}/{entry.name}" if below else entry.name
        if patterns.ignores(relative):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, relative, patterns)
        elif patterns.counts(relative) and (stamp := _stamp(entry.path)):
            yield entry.path, stamp


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression for the pattern and everything below what it names."""
    text = pattern.strip().removeprefix("./").strip("/")
    return re.compile("".join(_pieces(text)) + r"(?:/.*)?", re.DOTALL)


def _pieces(text: str) -> Iterator[str]:
    for found in re.finditer(r"\*\*/?|\*|\?|\[[^\]]*\]|.", text, re.DOTALL):
        match found.group():
            case "**/":
                yield "(?:.*/)?"
            case "**":
                yield ".*"
            case "*":
                yield "[^/]*"
            case "?":
                yield "[^/]"
            case piece if len(piece) > 1:
                yield piece.replace("[!", "[^")
            case piece:
                yield re.escape(piece)
