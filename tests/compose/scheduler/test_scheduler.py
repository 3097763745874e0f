from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

import anyio
import pytest

from compose import dispatch
from compose.errors import StepFailed
from compose.events import Event, StepDone, StepError, StepSkipped, StepStarted
from compose.model import Hook, Provider
from compose.plan import Await, AwaitContainer, Barrier, BuildImage, Operation, Plan, RunHook, RunProvider, StartContainer, Step
from compose.scheduler import execute
from runtime.engine import Engine
from runtime.errors import RuntimeFailure


@dataclass
class Slow:
    """Starts take as long as ``gates`` say; those in ``bad`` fail."""

    bad: frozenset[str] = frozenset()
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    most: int = 0
    under_way: int = 0

    async def start_container(self, container: str, name: str) -> None:
        self.begun.append(name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            if name in self.bad:
                raise RuntimeFailure(f"{name} is broken", hint="mend it")
            self.ended.append(name)
        finally:
            self.under_way -= 1

    async def await_container(self, name: str, **_: object) -> None:
        raise RuntimeFailure(f"container {name} is unhealthy")


def step(step_id: str, *after: str, after_any: tuple[str, ...] = ()) -> Step:
    return Step(id=step_id, operation=StartContainer(container=step_id, name=step_id), after=after, after_any=after_any)


def run(engine: object, *steps: Step, parallel: int | None = None, report: Callable[[Event], None] = lambda _: None) -> None:
    async def work() -> None:
        await execute(Plan(project="p", steps=steps), engine, report, parallel=parallel)

    anyio.run(work)


def test_every_operation_has_a_method_of_the_engine_that_takes_its_arguments() -> None:
    import inspect

    for kind in get_args(Operation):
        if kind is BuildImage:  # needs the whole project: carried out by the command line (``instead``)
            continue
        method = getattr(Engine, dispatch.method_name(kind), None)
        assert method is not None, kind
        taken = set(inspect.signature(method).parameters)
        given = set(kind.__dataclass_fields__) - {"hook", "provider"}
        assert given <= taken, (kind, given - taken)


def test_steps_follow_what_they_come_after() -> None:
    engine = Slow()
    run(engine, step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))
    assert engine.ended[0] == "a"
    assert engine.ended[-1] == "d"


def test_a_failed_step_releases_nobody_and_others_run_to_their_end() -> None:
    engine, events = Slow(bad=frozenset("a")), list[Event]()
    with pytest.raises(StepFailed) as failed:
        run(engine, step("a"), step("b", "a"), step("c", "b"), step("x"), step("y", "x"), report=events.append)
    assert engine.ended == ["x", "y"]
    assert failed.value.step == "a"
    assert failed.value.hint == "mend it"
    assert isinstance(failed.value.__cause__, RuntimeFailure)
    assert [(e.step.id, e.because) for e in events if isinstance(e, StepSkipped)] == [("b", "a"), ("c", "a")]
    assert [e.message for e in events if isinstance(e, StepError)] == ["a is broken"]


def test_all_failures_are_named() -> None:
    with pytest.raises(StepFailed, match=r"a is broken\nb is broken"):
        run(Slow(bad=frozenset("ab")), step("a"), step("b"))


def test_what_waits_for_an_end_goes_on_after_a_failure_or_a_skip() -> None:
    engine = Slow(bad=frozenset("a"))
    with pytest.raises(StepFailed):
        run(engine, step("a"), step("b", "a"), step("c", after_any=("a",)), step("d", after_any=("b",)), step("e", "c"))
    assert sorted(engine.ended) == ["c", "d", "e"]


def test_a_step_may_come_after_the_success_and_the_end_of_one_step() -> None:
    engine = Slow()
    run(engine, step("a"), step("b", "a", after_any=("a",)))
    assert engine.ended == ["a", "b"]


def test_a_barrier_does_nothing_and_holds_back() -> None:
    engine, events = Slow(), list[Event]()
    barrier = Step(id="all", operation=Barrier(), after=("a", "b"))
    run(engine, step("a"), step("b"), barrier, step("c", "all"), report=events.append)
    assert engine.ended[-1] == "c"
    assert "all" not in {e.step.id for e in events if isinstance(e, StepStarted | StepDone)}


def test_no_more_than_the_given_number_run_at_a_time() -> None:
    engine = Slow()
    run(engine, *(step(f"s{i}") for i in range(10)), parallel=3)
    assert engine.most == 3
    assert len(engine.ended) == 10


@pytest.mark.parametrize("parallel", [None, -1, 0])
def test_without_a_number_everything_ready_runs(parallel: int | None) -> None:
    engine = Slow()
    run(engine, *(step(f"s{i}") for i in range(10)), parallel=parallel)
    assert engine.most == 10


def test_the_longest_chain_goes_first_when_slots_are_short() -> None:
    engine = Slow()
    run(engine, step("leaf1"), step("leaf2"), step("a"), step("b", "a"), step("c", "b"), parallel=1)
    assert engine.begun == ["a", "b", "leaf1", "leaf2", "c"]  # with nothing left to gain, the plan's own order


def test_events_tell_begin_and_end() -> None:
    events = list[Event]()
    run(Slow(), step("a"), report=events.append)
    assert [type(e) for e in events] == [StepStarted, StepDone]


def test_an_unhealthy_dependency_is_said_to_be_one() -> None:
    waiting = Step(id="w", operation=AwaitContainer(container="i", name="demo-db-1", condition=Await.HEALTHY))
    with pytest.raises(StepFailed, match=r"^dependency failed to start: container demo-db-1 is unhealthy$"):
        run(Slow(), waiting)


def test_cancelling_begins_nothing_more_and_reports_the_rest() -> None:
    class Stuck:
        cleaned = False

        async def start_container(self, container: str, name: str) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                    Stuck.cleaned = True

    events = list[Event]()

    async def work() -> None:
        with anyio.move_on_after(0.05):
            await execute(Plan(project="p", steps=(step("a"), step("b", "a"))), Stuck(), events.append)

    anyio.run(work)
    assert Stuck.cleaned
    assert [e.step.id for e in events if isinstance(e, StepStarted)] == ["a"]
    assert {e.step.id for e in events if isinstance(e, StepSkipped)} == {"a", "b"}


def test_hooks_and_providers_reach_the_engine_in_its_own_terms() -> None:
    hook = Hook(command=("echo", "hi"), user="root", environment={"A": "1"}, privileged=True)
    found = dispatch.arguments(RunHook(container="i", service="web", kind="post_start", hook=hook))
    assert set(found) == {"container", "service", "kind", "process"}
    process = found["process"]
    assert (process.argv, process.user, process.working_dir, process.privileged) == (("echo", "hi"), "root", None, True)  # type: ignore[attr-defined]
    asked = dispatch.arguments(RunProvider(project="p", service="db", provider=Provider(type="aws", options={"k": ("v",)}), command="up"))
    assert asked == {"project": "p", "service": "db", "program": "aws", "options": {"k": ("v",)}, "command": "up"}


def test_an_operation_can_be_carried_out_in_another_way() -> None:
    done: list[str] = []

    async def other(operation: StartContainer) -> None:
        done.append(operation.name)

    async def work() -> None:
        await execute(Plan(project="p", steps=(step("a"),)), object(), lambda _: None, instead={StartContainer: other})

    anyio.run(work)
    assert done == ["a"]
