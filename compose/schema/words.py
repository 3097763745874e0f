"""Splits a command line into words the way Compose does: quotes and backslashes, nothing else of a shell. Pure."""

from __future__ import annotations


def split(line: str) -> list[str]:
    """Words of ``line``; what follows an unquoted ``; & | < >`` is dropped. Raises ValueError (an open quote, a trailing backslash, ``(``)."""
    words: list[str] = []
    word: list[str] = []
    inside = False
    quote = ""
    escaped = False
    for char in line:
        if escaped:
            word.append(char)
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = inside = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char in "'\"":
            quote, inside = char, True
        elif char in " \t\r\n":
            if inside:
                words.append("".join(word))
                word, inside = [], False
        elif char in ";&|<>":
            break
        elif char in "()`":
            raise ValueError(f"invalid command line string: {char!r} outside quotes")
        else:
            word.append(char)
            inside = True
    if escaped or quote:
        raise ValueError("invalid command line string: " + ("a backslash at its end" if escaped else f"the quote {quote} is not closed"))
    if inside:
        words.append("".join(word))
    return words
