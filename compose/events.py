"""What happens while a plan is carried out: frozen events from ``compose.scheduler`` to whoever shows progress. Pure data."""

from __future__ import annotations

from compose.plan import Step
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """The operation begins; show ``step.resource`` with ``step.doing``."""

    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """It succeeded after ``seconds``; show ``step.resource`` with ``step.done``."""

    step: Step
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepError:
    """It failed; ``message`` is what will be raised when everything else has ended.

    ``conflict``: somebody else was quicker, and the command may begin again rather than fail.
    """

    step: Step
    message: str
    conflict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped:
    """It was not begun, because a step before it failed (``because`` is that one's id) or everything was cancelled ("")."""

    step: Step
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """A detail of something under way, from the engine: ``current`` of ``total`` bytes or steps where known."""

    resource: str
    text: str
    current: int = 0
    total: int = 0
    warning: bool = False


Event = StepStarted | StepDone | StepError | StepSkipped | StepProgress
