"""Carries a plan out on an engine: structured, parallel, cancellable. In the command line's process, under anyio.

A step begins when all before it succeeded. One that fails releases nobody, what does not depend on it runs to its end, and the first failure is
raised then, naming all. Cancelling (Ctrl-C) begins nothing more; the engine's methods undo, shielded, what they had begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from heapq import heappop, heappush

import anyio
from anyio.abc import TaskGroup

from compose.dispatch import Dispatch, Performer
from compose.errors import StepFailed
from compose.events import Event, StepDone, StepError, StepSkipped, StepStarted
from compose.plan import Await, AwaitContainer, Barrier, Plan, Step
from runtime.errors import Conflict

Report = Callable[[Event], None]


async def execute(
    plan: Plan, engine: object, report: Report, *, parallel: int | None = None, instead: Mapping[type, Performer] | None = None
) -> None:
    """Carry out ``plan``; ``engine`` has one async method per operation. ``parallel`` caps operations under way (None or below 1: no cap).

    ``instead`` carries out operations of a kind in another way than by the engine's method (builds, which need the whole project).
    Raises StepFailed for the first failure, after everything that could still be done was done.
    """
    execution = _Execution(plan, Dispatch(engine, instead or {}), report, parallel if parallel and parallel > 0 else None)
    try:
        async with anyio.create_task_group() as group:
            execution.begin(group)
    finally:
        execution.skip_rest()
    execution.raise_failures()


class _Execution:
    """One plan under way: who waits for whom, who may begin, who failed."""

    def __init__(self, plan: Plan, dispatch: Dispatch, report: Report, limit: int | None) -> None:
        self.plan = plan
        self.dispatch = dispatch
        self.report = report
        self.limit = limit
        self.running = 0
        self.failures: list[tuple[Step, Exception]] = []
        self.waiting = {s.id: len({*s.after, *s.after_any}) for s in plan.steps}
        self.steps = {s.id: s for s in plan.steps}
        self.ready: list[tuple[int, int, str]] = []
        self.ended: set[str] = set()
        self.successors: dict[str, list[str]] = {s.id: [] for s in plan.steps}
        self.order = {s.id: i for i, s in enumerate(plan.steps)}
        self.urgency: dict[str, int] | None = None
        for step in plan.steps:
            for before in {*step.after, *step.after_any}:
                self.successors[before].append(step.id)

    def begin(self, group: TaskGroup) -> None:
        for step in self.plan.steps:
            if not self.waiting[step.id]:
                self._push(step.id)
        self._fill(group)

    def skip_rest(self) -> None:
        for step in self.plan.steps:
            if step.id not in self.ended:
                self.ended.add(step.id)
                self.report(StepSkipped(step=step, because=""))

    def raise_failures(self) -> None:
        if not self.failures:
            return
        step, error = self.failures[0]
        texts = dict.fromkeys(_message(s, e) for s, e in self.failures)
        raise StepFailed(step.id, "\n".join(texts), hint=getattr(error, "hint", None)) from error

    def _push(self, step_id: str) -> None:
        weight = self.urgency[step_id] if self.urgency else 0
        heappush(self.ready, (-weight, self.order[step_id], step_id))

    def _fill(self, group: TaskGroup) -> None:
        """Begin what is ready, as far as there are slots; when they are short, what most waits for goes first."""
        if self.urgency is None and self.limit is not None and len(self.ready) > self.limit - self.running:
            from compose.graph import urgency

            self.urgency = urgency(self.plan.steps)
            ready, self.ready = self.ready, []
            for _, _, step_id in ready:
                self._push(step_id)
        while self.ready and (self.limit is None or self.running < self.limit):
            step = self.steps[heappop(self.ready)[2]]
            self.running += 1
            group.start_soon(self._run, step, group, name=step.id)

    async def _run(self, step: Step, group: TaskGroup) -> None:
        try:
            await self._perform(step)
        except Exception as error:
            self.failures.append((step, error))
            self.ended.add(step.id)
            self.report(StepError(step=step, message=_message(step, error), conflict=isinstance(error, Conflict)))
            self._release(step, succeeded=False)
        else:
            self._release(step, succeeded=True)
        self.running -= 1
        self._fill(group)

    async def _perform(self, step: Step) -> None:
        if step.resource or not isinstance(step.operation, Barrier):
            self.report(StepStarted(step=step))
            began = time.perf_counter()
            if not isinstance(step.operation, Barrier):
                await self.dispatch.perform(step.operation)
            self.report(StepDone(step=step, seconds=time.perf_counter() - began))
        self.ended.add(step.id)

    def _release(self, step: Step, *, succeeded: bool) -> None:
        """Let the successors of a step that ended know; those that need its success and do not get it are skipped, and so on."""
        ended = [(step, succeeded)]
        while ended:
            before, good = ended.pop()
            for after in self.successors[before.id]:
                successor = self.steps[after]
                if after in self.ended:
                    continue
                if not good and before.id in successor.after:
                    self.ended.add(after)
                    self.report(StepSkipped(step=successor, because=step.id))
                    ended.append((successor, False))
                    continue
                self.waiting[after] -= 1
                if not self.waiting[after]:
                    self._push(after)


def _message(step: Step, error: Exception) -> str:
    """What is said of a failure; a dependency that does not get healthy is said to be one, as Docker Compose does."""
    text = str(getattr(error, "message", "") or error) or type(error).__name__
    operation = step.operation
    if isinstance(operation, AwaitContainer) and operation.condition is Await.HEALTHY:
        return f"dependency failed to start: {text}"
    return text
