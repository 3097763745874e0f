"""The phase that reads .env, ``env_file`` and ``label_file``: text → variables, by Compose's grammar. Pure.

A line is ``KEY=value``, ``KEY: value``, ``export KEY=value`` or ``KEY`` alone (taken from the environment). Unquoted values end at `` #``; single
quotes are literal; double quotes know escapes; both quotes may span lines. Unquoted and double-quoted values are templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from compose.loader.template import InvalidTemplate, Lookup, MissingVariable, substitute

_SPACES = " \t\v\f\r\x85\xa0"
_ESCAPE = re.compile(r"\\([abcfnrtv\"\\$']|0[0-7]{1,3}|.)", re.S)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}


class DotenvError(Exception):
    """A line that cannot be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


def parse(text: str, lookup: Lookup, unset: Callable[[str], None] | None = None, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables of a file. A reference finds ``lookup`` first, then the lines above, then the files ``before``. Raises DotenvError."""
    return _Parser(text.removeprefix("\ufeff").replace("\r\n", "\n"), lookup, unset, before or {}).run()


def parse_raw(text: str, lookup: Lookup, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables of a file in ``format: raw``: everything after ``=`` as it stands. Raises DotenvError."""
    result: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        if not key or any(c.isspace() for c in key):
            raise DotenvError(number, f"variable {key!r} contains whitespaces" if key else f"no variable name on line {line!r}")
        if separator:
            result[key] = value
        elif (inherited := lookup(key)) is not None:
            result[key] = inherited
        elif before and key in before:
            result[key] = before[key]
    return result


class _Parser:
    def __init__(self, text: str, lookup: Lookup, unset: Callable[[str], None] | None, before: Mapping[str, str]) -> None:
        self.text = text
        self.lookup = lookup
        self.unset = unset
        self.before = before
        self.position = 0
        self.result: dict[str, str] = {}

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1

    def run(self) -> dict[str, str]:
        while self.skip_blank():
            start = self.line
            key, separator = self.key()
            if not separator:
                inherited = self.lookup(key)
                if inherited is None:
                    inherited = self.before.get(key)
                if inherited is not None:
                    self.result[key] = inherited
                continue
            self.result[key] = self.value(start)
        return self.result

    def skip_blank(self) -> bool:
        """Go to the next statement; whether there is one."""
        text = self.text
        while self.position < len(text):
            char = text[self.position]
            if char == "#":
                end = text.find("\n", self.position)
                self.position = len(text) if end < 0 else end
            elif char.isspace():
                self.position += 1
            else:
                return True
        return False

    def key(self) -> tuple[str, str]:
        """A key and its separator ("" at the end of the line)."""
        text = self.text
        if text.startswith("export", self.position) and text[self.position + 6 : self.position + 7] in (" ", "\t"):
            self.position += 6
            while text[self.position : self.position + 1] in tuple(_SPACES):
                self.position += 1
        start = self.position
        for index in range(start, len(text)):
            char = text[index]
            if char in "=:\n":
                return self.name(text[start:index], index, char.strip("\n"))
            if not (char in _SPACES or char in "_.-[]" or char.isalnum()):
                line = text[start:].split("\n", 1)[0]
                raise DotenvError(self.line, f"unexpected character {char!r} in variable name {line!r}")
        return self.name(text[start:], len(text), "")

    def name(self, raw: str, end: int, separator: str) -> tuple[str, str]:
        key = raw.rstrip()
        if any(c.isspace() for c in key):
            raise DotenvError(self.line, f"key cannot contain a space: {key!r}")
        self.position = end + 1 if end < len(self.text) else end
        if separator:
            while self.text[self.position : self.position + 1] in tuple(_SPACES):
                self.position += 1
        return key, separator

    def value(self, line: int) -> str:
        quote = self.text[self.position : self.position + 1]
        if quote in ('"', "'"):
            return self.quoted(quote, line)
        end = self.text.find("\n", self.position)
        end = len(self.text) if end < 0 else end
        raw = self.text[self.position : end]
        self.position = end
        comment = _comment(raw)
        return self.expand(raw[:comment].rstrip() if comment >= 0 else raw.rstrip(), line)

    def quoted(self, quote: str, line: int) -> str:
        start = index = self.position + 1
        text = self.text
        while index < len(text) and text[index] != quote:
            index += 2 if text[index] == "\\" and text[index + 1 : index + 2] == quote else 1
            if quote == '"' and text[index - 1 : index] == "\\" and text[index : index + 1] == "\\":
                index += 1
        if index >= len(text):
            found = text[start - 1 :].split("\n", 1)[0]
            raise DotenvError(line, f"unterminated quoted value {found}")
        raw = text[start:index]
        self.position = index + 1  # what follows is the next statement, as the reference has it
        if quote == "'":
            return raw.replace("\\'", "'")
        return self.expand(_ESCAPE.sub(_unescape, raw), line)

    def expand(self, value: str, line: int) -> str:
        try:
            return substitute(value, self.find, self.unset)
        except (InvalidTemplate, MissingVariable) as e:
            raise DotenvError(line, str(e)) from None

    def find(self, name: str) -> str | None:
        value = self.lookup(name)
        if value is None:
            value = self.result.get(name)
        return self.before.get(name) if value is None else value


def _comment(raw: str) -> int:
    for index, char in enumerate(raw):
        if char == "#" and index and raw[index - 1].isspace():
            return index
    return -1


def _unescape(found: re.Match[str]) -> str:
    what = found[1]
    if what in _ESCAPED:
        return _ESCAPED[what]
    if what == "$":
        return "$$"
    if what[0] == "0" and len(what) > 1:
        return chr(int(what, 8))
    return found[0]
