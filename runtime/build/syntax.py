"""Dockerfile text to lines of instructions: the only door to the parser library (BuildKit's grammar). Pure, in the command's process."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from runtime.errors import BuildError
from runtime.record import dataclass

_INSTRUCTIONS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL",
    "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_DIRECTIVE = re.compile(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an instruction stands: lines from 1, both included; ``text`` is the joined line, as messages show it."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    """A here-document: ``content`` with its newlines; ``expand`` unless the terminator was quoted; ``chomp`` for ``<<-``."""

    name: str
    content: str
    expand: bool
    chomp: bool

    @property
    def text(self) -> str:
        """The content, without leading tabs when ``<<-`` asked for that."""
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE) if self.chomp else self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One instruction, its flags and arguments not yet understood. ENV and LABEL have (name, value, "=" or "") triples in ``args``."""

    name: str
    place: Place
    flags: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    json: bool = False
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parsed Dockerfile: its ``name`` for messages, its text's lines, its instructions, the escape character, directives, warnings (line, text)."""

    name: str
    lines: tuple[str, ...]
    instructions: tuple[Line, ...]
    escape: str = "\\"
    directives: Mapping[str, str]
    warnings: tuple[tuple[int, str], ...] = ()


def parse(text: str, name: str = "Dockerfile") -> Source:
    """The instructions in ``text``. Raises BuildError with the line shown when it is no Dockerfile (BuildKit, frontend/dockerfile/parser)."""
    from e2b_dockerfile_utils import DockerfileSyntaxError, parse_dockerfile_ast

    lines = tuple(text.splitlines())
    try:
        ast = parse_dockerfile_ast(text)
    except DockerfileSyntaxError as error:
        raise _syntax_error(name, lines, str(error), error.line) from None
    except (ValueError, RecursionError) as error:
        raise BuildError(f"{name}: {error}") from None
    if not ast.instructions:
        shown = Source(name=name, lines=lines, instructions=(), directives={})
        raise fault(shown, Place(start=1, end=1, text=""), "file with no instructions", hint="a Dockerfile begins with FROM")
    return Source(
        name=name,
        lines=lines,
        instructions=tuple(_line(i) for i in ast.instructions),
        escape=ast.escape_token,
        directives=directives(lines),
        warnings=tuple((w.line, w.message) for w in ast.warnings),
    )


def parse_trigger(text: str, origin: str) -> Line:
    """One ONBUILD trigger of a base image. Raises BuildError naming ``origin``."""
    return parse(text, origin).instructions[0]


def directives(lines: tuple[str, ...]) -> dict[str, str]:
    """The parser directives (``# syntax=``, ``# escape=``, ``# check=``) that stand before anything else, keys in lower case."""
    found: dict[str, str] = {}
    for line in lines:
        match = _DIRECTIVE.match(line)
        if match is None or match[1].lower() in found:
            break
        found[match[1].lower()] = match[2]
    return found


def expander(escape: str, variables: Mapping[str, str], *, quotes: bool = True) -> Callable[[str], str]:
    """Replaces ``$NAME``, ``${NAME}`` and its operators in one word, removing quotes unless told not to. The function raises ValueError."""
    from e2b_dockerfile_utils import ShellLex

    lex = ShellLex(escape, skip_process_quotes=not quotes, env=variables, skip_unset_env=False)
    return lex.process_word


def word_splitter(escape: str, variables: Mapping[str, str]) -> Callable[[str], list[str]]:
    """Like ``expander``, and splits the result into words (EXPOSE takes several ports from one variable)."""
    from e2b_dockerfile_utils import ShellLex

    return ShellLex(escape, env=variables, skip_unset_env=False).process_words


def whole_heredoc(word: str) -> bool:
    """Whether ``word`` is nothing but a here-document marker (``RUN <<EOF``)."""
    from e2b_dockerfile_utils import parse_heredoc

    return parse_heredoc(word) is not None


def excerpt(source: Source, place: Place, around: int = 2) -> str:
    """The lines about ``place`` as BuildKit shows them, the meant ones marked with ``>>>``."""
    first, last = max(1, place.start - around), min(len(source.lines), place.end + around)
    marked = (
        f"{number:4d} | {'>>>' if place.start <= number <= place.end else '   '} {source.lines[number - 1]}".rstrip()
        for number in range(first, last + 1)
    )
    rule = "-" * 20
    return "\n".join((f"{source.name}:{place.start}", rule, *marked, rule))


def fault(source: Source, place: Place, message: str, *, hint: str | None = None) -> BuildError:
    """A BuildError that shows the lines it is about."""
    return BuildError(f"{source.name}:{place.start}: {message}\n{excerpt(source, place)}", hint=hint)


def _line(instruction: object) -> Line:
    from e2b_dockerfile_utils import DockerfileInstruction

    if not isinstance(instruction, DockerfileInstruction):
        raise TypeError(type(instruction))
    return Line(
        name=instruction.name,
        place=Place(start=instruction.start_line, end=instruction.end_line, text=instruction.original),
        flags=tuple(instruction.flags),
        args=tuple(instruction.args),
        json=instruction.json,
        heredocs=tuple(Heredoc(name=h.name, content=h.content, expand=h.expand, chomp=h.chomp) for h in instruction.heredocs),
    )


def _syntax_error(name: str, lines: tuple[str, ...], message: str, line: int | None) -> BuildError:
    text = re.sub(r"^Dockerfile parse error( on line \d+)?: ", "", message)
    if line is None:
        return BuildError(f"{name}: {text}")
    shown = Source(name=name, lines=lines, instructions=(), directives={})
    end = len(lines) if text == "unterminated heredoc" else line
    return fault(shown, Place(start=line, end=end, text=""), text, hint=_nearest(text))


def _nearest(message: str) -> str | None:
    import difflib

    word = message.removeprefix("unknown instruction: ")
    if word == message:
        return None
    near = difflib.get_close_matches(word.upper(), _INSTRUCTIONS, 1)
    return f"did you mean {near[0]}?" if near else None
