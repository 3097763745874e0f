"""``.dockerignore`` and ``<Dockerfile>.dockerignore``: which files of a context the build does not see. Reads one file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from runtime.errors import BuildError
from runtime.record import dataclass
from runtime.store import read_file


@dataclass(frozen=True, slots=True)
class Ignore:
    """``hidden(name, is directory)``, and ``may_hold``: whether an excluded directory can hold files that a ``!`` pattern takes back."""

    hidden: Callable[[str, bool], bool]
    may_hold: Callable[[str], bool]


def of_patterns(patterns: Sequence[str], origin: str) -> Ignore | None:
    """The rule that some patterns make, None when there are none. Raises BuildError for a malformed pattern."""
    from e2b_dockerfile_utils import PatternMatcher

    try:
        matcher = PatternMatcher(list(patterns))
    except ValueError as error:
        raise BuildError(f"{origin}: {error}", hint="patterns are those of .dockerignore: *, ?, [a-z], **, and ! to take back") from None
    if not matcher.patterns:
        return None
    touched = _touched([pattern for pattern in matcher.patterns if not pattern.startswith("!")])
    return Ignore(lambda name, _directory: touched(name) is not None and matcher.matches(name), matcher.may_match_under)


def of_context(context: str, dockerfile: str | None) -> tuple[Ignore | None, str]:
    """The ignore file in force, and its name: the one beside the Dockerfile goes before the context's own.

    A byte order mark is dropped; lines that start with # are comments (moby, patternmatcher/ignorefile).
    """
    candidates = [f"{dockerfile}.dockerignore"] if dockerfile else []
    for path in (*candidates, f"{context}/.dockerignore"):
        content = read_file(path)
        if content is not None:
            text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
            return of_patterns(text.splitlines(), path), path
    return None, ""


def _touched(patterns: Sequence[str]) -> Callable[[str], object]:
    """A quick look whether any pattern can match a name or a directory above it; it says yes too often, never too rarely."""
    return re.compile(f"(?:{'|'.join(map(_loose, patterns)) or '(?!)'})(?:/|$)", re.DOTALL).match


def _loose(pattern: str) -> str:
    out, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**", i):
            i += 3 if pattern.startswith("**/", i) else 2
            out += ".*"
            continue
        character = pattern[i]
        i += 1
        if character == "*":
            out += ".*"
        elif character == "?":
            out += "."
        elif character in "[\\":
            return f"{out}.*"
        else:
            out += re.escape(character)
    return out
