"""Builds the stages of one Dockerfile: those that are needed, beside each other where they can be, every step by its key. On the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from runtime.build import graph, metadata, reader
from runtime.build.builder import Builder
from runtime.build.cache import CacheRecord
from runtime.build.instructions import Copy, Dockerfile, Instruction, Run, Stage, Workdir
from runtime.build.journal import Journal
from runtime.build.request import BuildRequest
from runtime.build.sources import Sources
from runtime.build.state import StageState
from runtime.build.steps import Steps, Turn
from runtime.build.syntax import Source, expander, fault, parse_trigger
from runtime.errors import BuildError, RuntimeFailure


class _Result:
    """A stage's state, once it is there."""

    def __init__(self) -> None:
        self.ready = anyio.Event()
        self.state: StageState | None = None


class Solver:
    """One build. ``solve`` returns the target's state."""

    def __init__(self, builder: Builder, request: BuildRequest, source: Source, sources: Sources, journal: Journal) -> None:
        self._request = request
        self._source = source
        self._dockerfile: Dockerfile = reader.read(source)
        self._sources = sources
        self._journal = journal
        self._target = graph.target_stage(self._dockerfile, request.target)
        self._scope = self._global_scope(request)
        self._results: dict[int, _Result] = {}
        self._failure: Exception | None = None
        self._group: TaskGroup | None = None
        self._steps = Steps(builder, request, self._scope, sources)

    @property
    def records(self) -> dict[str, CacheRecord]:
        """What the steps of this build came by, by key."""
        return self._steps.records

    async def solve(self) -> StageState:
        """Build the target. Raises BuildError; the other stages are cancelled then."""
        state: StageState | None = None
        async with anyio.create_task_group() as group:
            self._group = group
            state = await self.stage(self._target.number)
            group.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        if state is None:
            raise BuildError("the build was cancelled")
        return state

    async def stage(self, number: int) -> StageState:
        """The state at the end of a stage, building it on first demand."""
        result = self._results.get(number)
        if result is None:
            result = self._results[number] = _Result()
            if self._group is not None:
                self._group.start_soon(self._build, number, result)
        await result.ready.wait()
        if result.state is None:
            raise BuildError("the build was cancelled")
        return result.state

    async def _build(self, number: int, result: _Result) -> None:
        try:
            stage = self._dockerfile.stages[number]
            for other in graph.dependencies(self._dockerfile, stage):
                self._begin(other)
            result.state = await self._run(stage)
            result.ready.set()
        except Exception as error:
            self._failure = self._failure or error
            if self._group is not None:
                self._group.cancel_scope.cancel()

    def _begin(self, number: int) -> None:
        if number not in self._results and self._group is not None:
            result = self._results[number] = _Result()
            self._group.start_soon(self._build, number, result)

    async def _run(self, stage: Stage) -> StageState:
        image = self._expanded(stage, stage.base.image, "FROM")
        base = None if image in self._request.contexts else graph.base_stage(self._dockerfile, image, stage.number)
        if base is not None:
            state = replace(await self.stage(base.number), command_set=False)
            triggers = state.draft.texts("OnBuild")
            state = _from_stage(state)
        else:
            state, triggers = await self._image(stage, image)
        todo = [(self._source, i) for i in stage.instructions]
        todo = [*(self._trigger(text, stage) for text in triggers), *todo]
        total = sum(isinstance(i, (Run, Copy, Workdir)) for _, i in todo) + (base is None and image != "scratch")
        done = int(base is None and image != "scratch")
        for index, (source, instruction) in enumerate(todo):
            done += isinstance(instruction, (Run, Copy, Workdir))
            prefix = "ONBUILD " if index < len(triggers) else ""
            state = await self._one(state, stage, source, instruction, f"[{self._title(stage)}{done}/{total}] {prefix}")
        return state

    async def _image(self, stage: Stage, image: str) -> tuple[StageState, tuple[str, ...]]:
        total = sum(isinstance(i, (Run, Copy, Workdir)) for i in stage.instructions) + 1
        try:
            if stage.base.platform:
                self._sources.check_platform(self._expanded(stage, stage.base.platform, "FROM --platform"))
            return await self._sources.base(image, f"[{self._title(stage)}1/{total}] FROM {image}")
        except RuntimeFailure as error:
            raise fault(self._source, stage.base.place, error.message, hint=error.hint) from error

    def _trigger(self, text: str, stage: Stage) -> tuple[Source, Instruction]:
        """A trigger of the base, which stands where the FROM stands: that line is shown when it fails."""
        line = parse_trigger(text, f"ONBUILD of {stage.base.image}")
        place = replace(line.place, start=stage.base.place.start, end=stage.base.place.end)
        return self._source, reader.instruction(self._source, replace(line, place=place))

    async def _one(self, state: StageState, stage: Stage, source: Source, instruction: Instruction, prefix: str) -> StageState:
        match instruction:
            case Run() | Copy() | Workdir():
                turn = Turn(
                    stage=stage, source=source, dockerfile=self._dockerfile, prefix=prefix, journal=self._journal, other_stage=self.stage
                )
                return await self._steps.take(state, instruction, turn)
            case _:
                try:
                    return metadata.apply(state, instruction, self._scope)
                except ValueError as error:
                    raise fault(source, instruction.place, _plain(error)) from None

    def _title(self, stage: Stage) -> str:
        return f"{stage.title} " if len(self._dockerfile.stages) > 1 or stage.name else ""

    def _expanded(self, stage: Stage, text: str, what: str) -> str:
        try:
            value = expander(self._source.escape, self._scope.globals_)(text)
        except ValueError as error:
            raise fault(self._source, stage.base.place, _plain(error)) from None
        if not value:
            raise fault(
                self._source,
                stage.base.place,
                f"{what}: {text!r} is empty",
                hint="declare the ARG before the first FROM and give it a value",
            )
        return value

    def _global_scope(self, request: BuildRequest) -> metadata.Scope:
        from runtime.build import platform

        scope = metadata.Scope(escape=self._source.escape, given=request.arguments, globals_=platform.arguments(request.target))
        try:
            known: Mapping[str, str] = metadata.global_arguments(self._dockerfile.arguments, scope)
        except ValueError as error:
            raise fault(self._source, self._dockerfile.arguments[0].place, _plain(error)) from None
        return replace(scope, globals_=known)


def _from_stage(state: StageState) -> StageState:
    draft = state.draft.with_(OnBuild=None)
    return replace(state, draft=draft, variables={**state.arguments, **draft.environment})


def _plain(error: ValueError) -> str:
    return str(error).removeprefix("failed to process ")
