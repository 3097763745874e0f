"""Splits a command line into words the way Compose does: quotes and backslashes, nothing else of a shell. Pure."""

from __future__ import annotations


class _Line:
    """The words so far and what is open."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.word = ""
        self.begun = False
        self.open = {"'": False, '"': False, "`": False, "(": False}

    @property
    def inside(self) -> bool:
        """Whether something is open that holds blanks together."""
        return any(self.open.values())

    def end(self) -> None:
        if self.begun:
            self.words.append(self.word)
        self.word, self.begun = "", False

    def take(self, char: str) -> bool:
        """Take one character; false where the command ends."""
        quotes = self.open
        if char in " \t\r\n":
            if self.inside:
                self.word += char
            else:
                self.end()
            return True
        if char in "'\"" and not quotes["("] and not quotes["'" if char == '"' else '"']:
            quotes[char] = not quotes[char]
            self.begun = True
            return True
        if char == "`" and not (quotes["'"] or quotes['"'] or quotes["("]):
            quotes[char] = not quotes[char]
        elif char in "()" and not (quotes["'"] or quotes['"'] or quotes["`"]):
            if char == "(" and (quotes["("] or not self.word.endswith("$")):
                raise ValueError("invalid command line string: '(' outside quotes")
            quotes["("] = char == "(" or not quotes["("]
        elif char in ";&|<>" and not self.inside:
            if char == ">" and self.word[:1].isdigit():
                self.word, self.begun = "", False  # the number of a redirection
            return False
        self.word += char
        self.begun = True
        return True


def split(text: str) -> list[str]:
    """Words of ``text``; what follows an unquoted ``; & | < >`` is dropped. Raises ValueError (an open quote, a trailing backslash, ``(``)."""
    line = _Line()
    escaped = False
    for char in text:
        if escaped:
            line.word += char
            line.begun = True
            escaped = False
        elif char == "\\" and not line.open["'"]:
            escaped = True
        elif not line.take(char):
            break
    line.end()
    if escaped or line.inside:
        what = "a backslash at its end" if escaped else f"{next(q for q, o in line.open.items() if o)} is not closed"
        raise ValueError(f"invalid command line string: {what}")
    return line.words
