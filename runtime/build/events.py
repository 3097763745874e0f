"""What a build says while it works: frozen events, in the order in which things happen. Pure data."""

from __future__ import annotations

from collections.abc import Callable

from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step began. ``number`` counts the steps of one build from 1; ``name`` is e.g. "[build 2/4] RUN make"."""

    number: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutput:
    """Output of a step's command, as it came; ``seconds`` since the step began."""

    number: int
    data: bytes
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNote:
    """Something to say about a step ("transferring context: 3.2MB")."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """A step's end. ``cached`` when its result was there already; ``error`` is "" or why it failed."""

    number: int
    seconds: float
    cached: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWarning:
    """Something in the Dockerfile that works, but is not what it should be; ``rule`` as BuildKit's checks are called, ``line`` from 1."""

    rule: str
    message: str
    line: int = 0


BuildEvent = StepStarted | StepOutput | StepNote | StepDone | BuildWarning
Progress = Callable[[BuildEvent], None]
