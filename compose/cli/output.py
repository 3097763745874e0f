"""The only module that prints: data on stdout, everything said about it on stderr, errors in one form. In the command's process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

from compose.errors import ComposeError, LoadError, Position, Problem
from runtime.errors import RuntimeFailure
from runtime.record import dataclass

BOLD, DIM, RED, GREEN, YELLOW, BLUE, CYAN = "1", "2", "31", "32", "33", "34", "36"


class OutputClosed(Exception):
    """The reader of our stdout went away (``pycompose logs | head``); the command ends quietly, as SIGPIPE would end it."""


@dataclass(slots=True)
class _Settings:
    ansi: str = "auto"
    json: bool = False


_settings = _Settings()


def configure(*, ansi: str, json: bool) -> None:
    """Set how this process prints: ``ansi`` never, always or auto (terminals only), ``json`` for errors as JSON lines."""
    _settings.ansi = ansi
    _settings.json = json


def coloured(stream: TextIO) -> bool:
    """Whether escape codes may go to ``stream`` (``--ansi``, NO_COLOR, a terminal that is not dumb)."""
    if _settings.ansi != "auto":
        return _settings.ansi == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def styled(text: str, *codes: str, stream: TextIO | None = None) -> str:
    """``text`` in SGR ``codes`` (ECMA-48) when ``stream`` (stderr by default) takes them, plain otherwise."""
    if not coloured(stream or sys.stderr):
        return text
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m"


def data(text: str) -> None:
    """One line of result on stdout."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Result text on stdout, as it is. Raises OutputClosed when nobody reads it any more."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise OutputClosed from None


def write_bytes(content: bytes, *, to_stderr: bool = False) -> None:
    """Raw bytes (a container's output) on stdout or stderr, at once. Raises OutputClosed when nobody reads them any more."""
    stream = sys.stderr if to_stderr else sys.stdout
    try:
        stream.flush()
        stream.buffer.write(content)
        stream.buffer.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def line_bytes(content: bytes, *, to_stderr: bool = False) -> None:
    """A line of a container's output, buffered until ``flush``; what goes to the other stream comes in order on a terminal."""
    other, stream = (sys.stdout, sys.stderr) if to_stderr else (sys.stderr, sys.stdout)
    try:
        other.flush()
        stream.buffer.write(content)
    except BrokenPipeError:
        raise OutputClosed from None


def draw(text: str) -> None:
    """Text with escape codes for the terminal on stderr, as it is."""
    sys.stderr.write(text)
    sys.stderr.flush()


def flush() -> None:
    """Hand over what was printed so far. Raises OutputClosed when nobody reads it any more."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def finish() -> None:
    """Hand over the rest at the end of the process; a reader that has gone away is none to complain to."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            continue


def discard() -> None:
    """Forget unwritten output and point stdout to nowhere, so that ending the process does not fail on it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def note(text: str) -> None:
    """One line about the work on stderr."""
    _say(text)


def warn(text: str) -> None:
    """A warning on stderr."""
    if _settings.json:
        _say_json({"warning": True, "message": text})
    else:
        _say(f"{styled('warning:', YELLOW)} {text}")


def warn_all(texts: Iterable[str]) -> None:
    """Several warnings, each once."""
    for text in dict.fromkeys(texts):
        warn(text)


def fail(error: ComposeError | RuntimeFailure) -> int:
    """Print an error the way it teaches most; returns the exit code."""
    if isinstance(error, LoadError) and not _settings.json:
        for problem in error.problems:
            _say(problem_text(problem))
    else:
        fail_text(error.message, error.hint)
    return error.exit_code


def fail_text(message: str, hint: str | None = None) -> None:
    """Print a message that ends the command, and what to try next."""
    if _settings.json:
        _say_json({"error": True, "message": message, **({"hint": hint} if hint else {})})
        return
    _say(styled(message, RED) if message else "")
    if hint:
        _say(f"  {styled('hint:', CYAN)} {hint}")


def problem_text(problem: Problem) -> str:
    """One mistake in a file: where and what, the line with a marker under the place, and a hint."""
    lines = [styled(str(problem), RED)]
    if problem.position and problem.position.source:
        lines += _marked(problem.position)
    if problem.hint:
        lines.append(f"  {styled('hint:', CYAN)} {problem.hint}")
    return "\n".join(lines)


def confirm(question: str) -> bool:
    """Ask on the terminal; no answer and no terminal are "no"."""
    sys.stderr.write(f"{question} [yN] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _marked(position: Position) -> list[str]:
    number = str(position.line)
    source = position.source.rstrip("\n").expandtabs(1)
    margin = " " * len(number)
    marker = " " * (position.column - 1) + styled("^", RED, BOLD)
    return [f"  {styled(number + ' |', BLUE)} {source}", f"  {margin} {styled('|', BLUE)} {marker}"]


def _say(text: str) -> None:
    try:
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        discard()


def _say_json(record: dict[str, object]) -> None:
    import json

    _say(json.dumps(record, ensure_ascii=False))
