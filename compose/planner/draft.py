"""A plan while it is written: steps by id, each stop and disconnect once, and the words progress shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter

from compose.model import Service
from compose.plan import (
    Barrier,
    DisconnectContainer,
    Operation,
    Plan,
    Question,
    RemoveContainer,
    RunHook,
    StartContainer,
    Step,
    StopContainer,
)
from runtime.state import ContainerState

Words = tuple[str, str]

SILENT: Words = ("", "")


class Draft:
    """Steps in the order they are thought of; ``plan()`` puts them in an order that respects what comes after what."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.steps: dict[str, Step] = {}
        self.notes: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.questions: list[Question] = []
        self.stops: dict[str, str] = {}
        self._waited_for: set[str] = set()

    def add(
        self,
        step_id: str,
        operation: Operation | Barrier,
        *,
        after: Iterable[str] = (),
        after_any: Iterable[str] = (),
        cause: str = "",
        resource: str = "",
        words: Words = SILENT,
    ) -> str:
        """Add a step; one of the same id is there already: that one stands. Returns the id."""
        if step_id not in self.steps:
            before, loosely = tuple(dict.fromkeys(after)), tuple(dict.fromkeys(after_any))
            self._waited_for.update(before, loosely)
            self.steps[step_id] = Step(
                id=step_id,
                operation=operation,
                after=before,
                after_any=loosely,
                cause=cause,
                resource=resource,
                doing=words[0],
                done=words[1],
            )
        return step_id

    def leaves(self) -> tuple[str, ...]:
        """Steps nothing comes after yet."""
        return tuple(i for i in self.steps if i not in self._waited_for)

    def barrier(self, name: str, cause: str) -> tuple[str, ...]:
        """What must come before the next phase: every leaf so far, drawn together in one step when they are several."""
        leaves = self.leaves()
        return leaves if len(leaves) < 2 else (self.add(name, Barrier(), after=leaves, cause=cause),)

    def note(self, resource: str, text: str) -> None:
        """Something unchanged, to be shown."""
        self.notes.append((resource, text))

    def warn(self, text: str) -> None:
        """Something the user should know, said once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def plan(self) -> Plan:
        """The finished plan."""
        return Plan(
            project=self.project,
            steps=tuple(self._ordered()),
            notes=tuple(self.notes),
            warnings=tuple(self.warnings),
            questions=tuple(self.questions),
        )

    def _ordered(self) -> list[Step]:
        seen: set[str] = set()
        for step in self.steps.values():
            if not seen.issuperset(step.after) or not seen.issuperset(step.after_any):
                sorter = TopologicalSorter({s.id: (*s.after, *s.after_any) for s in self.steps.values()})
                return [self.steps[i] for i in sorter.static_order()]
            seen.add(step.id)
        return list(self.steps.values())


def resource(container: ContainerState | str) -> str:
    """What progress calls a container."""
    return f"Container {container if isinstance(container, str) else container.spec.name}"


def stop(
    draft: Draft,
    key: str,
    container: ContainerState,
    *,
    service: Service | None = None,
    timeout: float | None = None,
    after: Iterable[str] = (),
    cause: str = "",
    words: Words = SILENT,
) -> tuple[str, ...]:
    """The step that stops a container, pre_stop hooks first; none when it does not run. A container is stopped once in a plan."""
    if not container.running:
        return _said_to_stop(draft, key, container, after, cause, words)
    if container.spec.id not in draft.stops:
        before = tuple(after)
        for index, hook in enumerate(service.pre_stop if service else ()):
            operation = RunHook(container=container.spec.id, service=service.name if service else "", kind="pre_stop", hook=hook)
            before = (draft.add(f"{key}.pre_stop[{index}]", operation, after=before, cause="hook"),)
        draft.stops[container.spec.id] = draft.add(
            f"{key}.stop",
            StopContainer(container=container.spec.id, name=container.spec.name, timeout=timeout),
            after=before,
            cause=cause,
            resource=resource(container) if words != SILENT else "",
            words=words,
        )
    return (draft.stops[container.spec.id],)


def _said_to_stop(draft: Draft, key: str, container: ContainerState, after: Iterable[str], cause: str, words: Words) -> tuple[str, ...]:
    """Nothing is done to a container that has ended; where stops are shown, its own is, as Docker Compose does."""
    if words == SILENT:
        return ()
    if container.spec.id not in draft.stops:
        draft.stops[container.spec.id] = draft.add(
            f"{key}.stop", Barrier(), after=after, cause=f"{cause}: has ended", resource=resource(container), words=words
        )
    return (draft.stops[container.spec.id],)


def disconnect(draft: Draft, key: str, container: ContainerState, network: str, *, after: Iterable[str], cause: str) -> str:
    """The step that takes a container off a network."""
    operation = DisconnectContainer(container=container.spec.id, network=network)
    return draft.add(f"{key}.disconnect:{network}", operation, after=after, cause=cause)


def remove(
    draft: Draft, key: str, container: ContainerState, *, after: Iterable[str], cause: str, volumes: bool = False, shown: bool = True
) -> str:
    """The step that deletes a stopped container."""
    operation = RemoveContainer(container=container.spec.id, name=container.spec.name, volumes=volumes)
    words = ("Removing", "Removed") if shown else SILENT
    return draft.add(f"{key}.remove", operation, after=after, cause=cause, resource=resource(container) if shown else "", words=words)


def start(
    draft: Draft,
    key: str,
    container_id: str,
    name: str,
    *,
    service: Service | None = None,
    after: Iterable[str] = (),
    after_any: Iterable[str] = (),
    cause: str = "",
) -> str:
    """The step that starts a container, and its post_start hooks; returns the last one, which means "started"."""
    operation = StartContainer(container=container_id, name=name)
    words = ("Starting", "Started")
    last = draft.add(f"{key}.start", operation, after=after, after_any=after_any, cause=cause, resource=resource(name), words=words)
    for index, hook in enumerate(service.post_start if service else ()):
        run = RunHook(container=container_id, service=service.name if service else "", kind="post_start", hook=hook)
        last = draft.add(f"{key}.post_start[{index}]", run, after=(last,), cause="hook")
    return last
