"""The error tree of the Compose side; each carries what a message needs to teach. Printed in ``compose.cli.output`` only."""

from __future__ import annotations

from runtime.record import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: ``line`` and ``column`` from 1; ``source`` is the line's text, for showing it with a marker."""

    file: str
    line: int
    column: int
    source: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ComposeError(Exception):
    """Root of everything the Compose side refuses. ``exit_code`` is the process's."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ComposeError):
    """Flags or arguments that do not go together, or name what is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a file: where, at which path of the document (``services.web.ports[0]``), what is wrong, what would be right."""

    path: str
    message: str
    position: Position | None = None
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position else ""
        what = f"{self.path}: " if self.path else ""
        return f"{where}{what}{self.message}"


class LoadError(ComposeError):
    """A project that cannot be loaded; all independent ``problems`` are reported at once."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


class PlanError(ComposeError):
    """A valid project that cannot be carried out as asked (cycle, missing donor, scale with a container name …)."""


class StepFailed(ComposeError):
    """A step of a plan failed; ``step`` is its id, the cause is chained."""

    def __init__(self, step: str, message: str, *, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.exit_code = exit_code
