"""A one-off container's life: made, joined, started, waited for, removed. In the command's process."""

from __future__ import annotations

import threading
from dataclasses import field, replace

from compose import planner
from compose.cli import streams
from compose.cli.change import Change, carry_out, perform
from compose.cli.terminal import DEFAULT_DETACH_KEYS, DetachKeys
from compose.errors import ComposeError
from compose.intent import Run
from compose.plan import Plan, RemoveContainer, StartContainer, Step
from runtime.engine import access
from runtime.errors import LaunchError, RuntimeFailure
from runtime.record import dataclass
from runtime.spec import ContainerSpec

_SETTLE = 10.0


def detached(change: Change) -> str:
    """Make and start it; its id."""
    return planner.one_off(carry_out(change)).id


def foreground(change: Change, *, interactive: bool) -> int:
    """Make it, join its streams, start it, and stay until it ends; its exit code. Detaching leaves it running."""
    made: list[ContainerSpec] = []
    try:
        carry_out(replace(change, planned=lambda _, plan: made.append(planner.one_off(plan))))
        spec = made[-1]
        end = _End(spec.id)
        attachment = access.attach(spec.id, stdin_once=interactive)
        end.thread.start()
        if spec.tty:
            streams.resize(spec.id)
        _start(change, spec)
    except BaseException as error:
        _discard(change, made[-1:])
        if (failed := _launch_failure(error)) is not None:
            raise failed from error
        raise
    keys = DetachKeys.parse(DEFAULT_DETACH_KEYS) if interactive else None
    if not streams.join(spec.id, attachment, stdin=interactive, keys=keys):
        return 0
    return end.code()


@dataclass(slots=True)
class _End:
    """Waits for the container's end from before its start: a container that is removed at its end cannot be asked afterwards."""

    container: str
    result: int = 0
    failure: RuntimeFailure | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._wait, daemon=True)

    def code(self) -> int:
        """The exit code. Raises RuntimeFailure when nobody knows it."""
        self.thread.join(_SETTLE)
        if self.failure is not None:
            raise self.failure
        return self.result

    def _wait(self) -> None:
        try:
            self.result = access.wait_for_end(self.container)
        except RuntimeFailure as failure:
            self.failure = failure


def _start(change: Change, spec: ContainerSpec) -> None:
    step = Step(id="run.start", operation=StartContainer(container=spec.id, name=spec.name))
    perform(change.options, change.project, Plan(project=change.project.name, steps=(step,)), change.title, quiet=True)


def _discard(change: Change, made: list[ContainerSpec]) -> None:
    """With ``--rm`` a container that could not be started is not left behind."""
    if not (isinstance(change.intent, Run) and change.intent.remove):
        return
    for spec in made:
        operation = RemoveContainer(container=spec.id, name=spec.name, volumes=True, force=True)
        plan = Plan(project=change.project.name, steps=(Step(id="run.remove", operation=operation),))
        perform(change.options, change.project, plan, change.title, quiet=True)


def _launch_failure(error: BaseException) -> LaunchError | None:
    """The reason when the process could not be executed: its exit code (125, 126, 127) is the command's."""
    cause = error.__cause__ if isinstance(error, ComposeError) else error
    return cause if isinstance(cause, LaunchError) else None
