"""Steps that make layers: RUN, COPY, ADD, WORKDIR. Each is looked up, named by a key, taken from the cache or made. On the event loop."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from anyio import to_thread

from runtime.build import copies, flags, git, metadata, running, stubs
from runtime.build.builder import Builder, Make
from runtime.build.cache import CacheRecord, key_of
from runtime.build.fetching import is_url
from runtime.build.fingerprint import fingerprint
from runtime.build.graph import source_stage
from runtime.build.inputs import Input
from runtime.build.instructions import Copy, Dockerfile, Run, RunMount, Stage, Workdir
from runtime.build.journal import Journal, Step
from runtime.build.modes import parse_owner
from runtime.build.mounting import MountPlaces, Prepared, located, prepare
from runtime.build.request import BuildRequest
from runtime.build.sources import Sources
from runtime.build.state import StageState
from runtime.build.syntax import Source, fault
from runtime.build.trust import HostTrust
from runtime.build.view import View
from runtime.build.writer import LayerWriter
from runtime.errors import BuildError, RuntimeFailure
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where a step stands: its stage, the text it was written in, how progress calls it, and how to get another stage."""

    stage: Stage
    source: Source
    dockerfile: Dockerfile
    prefix: str
    journal: Journal
    other_stage: Callable[[int], Awaitable[StageState]]


class Steps:
    """Carries out the layer-making instructions of one build."""

    def __init__(self, builder: Builder, request: BuildRequest, scope: metadata.Scope, sources: Sources) -> None:
        self._builder = builder
        self._request = request
        self._scope = scope
        self._sources = sources
        self.records: dict[str, CacheRecord] = {}  # what this build came by, for cache_to

    async def take(self, state: StageState, instruction: Run | Copy | Workdir, turn: Turn) -> StageState:
        """The state after the instruction. Raises BuildError that shows its line and the last output of its command."""
        text = " ".join(instruction.place.text.split())
        step = turn.journal.step(f"{turn.prefix}{text}")
        try:
            match instruction:
                case Run():
                    after, cached = await self._run(state, instruction, turn, step)
                case Copy():
                    after, cached = await self._copy(state, instruction, turn)
                case Workdir():
                    after, cached = await self._workdir(state, instruction, turn)
        except Exception as error:
            step.done(error=_message(error))
            raise _explained(error, turn.source, instruction, step) from error
        step.done(cached=cached)
        return after

    # --- the three

    async def _workdir(self, state: StageState, instruction: Workdir, turn: Turn) -> tuple[StageState, bool]:
        path = metadata.working_dir(state, self._scope.expand(state)(instruction.path))
        after = replace(state, draft=state.draft.with_(WorkingDir=path))
        if path == "/":  # always there: no layer, as BuildKit has it
            return replace(after, draft=after.draft.recorded("WORKDIR /")), True
        lowers = self._builder.directories(state.layers)
        user = state.draft.text("User")
        owner = await to_thread.run_sync(parse_owner, user, View(lowers)) if user else None

        async def make(_staging: str, upper: str) -> None:
            await to_thread.run_sync(_make_directory, upper, lowers, path, owner)

        key = key_of(parent=state.key, op="workdir", path=path, owner=owner)
        record, cached = await self._record(key, f"WORKDIR {path}", make, use_cache=self._use_cache(turn))
        return _with_layer(after, key, record, f"WORKDIR {path}"), cached

    async def _copy(self, state: StageState, copy: Copy, turn: Turn) -> tuple[StageState, bool]:
        offers = await self._offers(state, copy, turn)
        lowers = self._builder.directories(state.layers)
        plan = await to_thread.run_sync(copies.plan, state, copy, self._scope.expand(state), offers, View(lowers))

        for selection in copies.selections(plan, copy, offers):
            self._sources.notes.selected(selection)

        async def make(_staging: str, upper: str) -> None:
            await to_thread.run_sync(copies.write, plan, upper, lowers)

        key = key_of(parent="" if plan.link else state.key, **plan.parts)
        created_by = _copy_shown(copy, self._scope.expand(state))
        record, cached = await self._record(key, created_by, make, use_cache=self._use_cache(turn))
        for contents in {id(offer.tree.contents): offer.tree.contents for offer in offers}.values():
            await to_thread.run_sync(contents.save)
        return _with_layer(state, key_of(parent=state.key, link=key) if plan.link else key, record, created_by), cached

    async def _offers(self, state: StageState, copy: Copy, turn: Turn) -> list[copies.Offer]:
        expand = self._scope.expand(state)
        words = [expand(word) for word in copy.sources]
        if copy.origin:
            tree = await self._input(copy.origin, turn)
            return [copies.Offer(word=word, tree=tree) for word in words]
        return [await self._offer(word, copy, turn) for word in words]

    async def _offer(self, word: str, copy: Copy, turn: Turn) -> copies.Offer:
        repository = git.parse(word) if copy.add else None
        if repository is not None:
            tree = await to_thread.run_sync(self._sources.repository, repository, copy)
            return copies.Offer(word="/", tree=tree, remote=True)
        if copy.add and is_url(word):
            name, tree = await to_thread.run_sync(self._sources.download, word, copy.checksum)
            return copies.Offer(word=f"/{name}", tree=tree, remote=True)
        if copy.checksum:
            raise ValueError("--checksum is for URLs")
        return copies.Offer(word=word, tree=await self._sources.context(turn.journal))

    async def _run(self, state: StageState, run: Run, turn: Turn, step: Step) -> tuple[StageState, bool]:
        self._check_entitlements(run)
        expand = self._scope.expand(state)
        mounts = tuple(flags.mount(text, expand) for text in run.mounts)
        inputs = await self._mount_inputs(mounts, turn)
        what = running.command(run, state.draft.shell)
        key = await to_thread.run_sync(self._run_key, state, run, what, mounts, inputs)
        make = self._making(state, run, what, mounts, inputs, step)
        created_by = _run_shown(state, what.argv)
        record, cached = await self._record(key, created_by, make, use_cache=self._use_cache(turn))
        return _with_layer(state, key, record, created_by), cached

    async def _record(self, key: str, description: str, make: Make, *, use_cache: bool) -> tuple[CacheRecord, bool]:
        record, cached = await self._builder.record(key, description, make, use_cache=use_cache)
        self.records[key] = record
        return record, cached

    # --- RUN

    def _making(
        self, state: StageState, run: Run, what: running.RunCommand, mounts: tuple[RunMount, ...], inputs: Mapping[int, Input], step: Step
    ) -> Make:  # fmt: skip
        async def make(staging: str, upper: str) -> None:
            os.mkdir(f"{staging}/root")
            lowers = self._builder.directories(state.layers)
            places = running.RunPlaces(staging=staging, upper=upper, lowers=lowers)
            prepared = await to_thread.run_sync(self._prepare, state, mounts, inputs, staging)
            trust = HostTrust(upper, lowers) if self._request.trust_host_ca else None
            try:
                await self._launch(state, run, what, places, prepared, trust, step)
            finally:
                prepared.held.close()
                shutil.rmtree(self._volatile(staging), ignore_errors=True)

        return make

    async def _launch(
        self, state: StageState, run: Run, what: running.RunCommand, places: running.RunPlaces, prepared: Prepared, trust: HostTrust | None, step: Step
    ) -> None:  # fmt: skip
        view = View(places.lowers)
        entries = [*running.files(places, what, self._request.extra_hosts), *prepared.entries]
        environment = {**self._proxies(), **state.variables, **prepared.environment}
        if trust is not None:
            entry, variables = trust.cover()
            entries.append(entry)
            environment = {**variables, **environment}
        made = await to_thread.run_sync(partial(stubs.missing, view, [e.target for e in entries], own_shm=bool(self._request.shm_size)))
        bundle = running.bundle(state, run, what, self._request, places, self._builder.store.paths, entries, environment)
        await running.execute(bundle, f"{places.staging}/result.json", step.output)
        await to_thread.run_sync(stubs.remove, places.upper, made)
        if trust is not None:
            trust.uncover()
        await to_thread.run_sync(stubs.tidy, places.upper)

    def _prepare(self, state: StageState, mounts: tuple[RunMount, ...], inputs: Mapping[int, Input], staging: str) -> Prepared:
        places = MountPlaces(staging=staging, volatile=self._volatile(staging), caches=f"{self._builder.cache.root}/mounts")
        return prepare(mounts, inputs, self._request, places, state.draft.working_dir)

    def _volatile(self, staging: str) -> str:
        return f"{self._builder.store.paths.run}/build/{os.path.basename(staging)}"

    def _run_key(
        self, state: StageState, run: Run, what: running.RunCommand, mounts: tuple[RunMount, ...], inputs: Mapping[int, Input]
    ) -> str:  # fmt: skip
        bound = {}
        for index, source in inputs.items():
            found = located(mounts[index], source).node
            bound[str(index)] = "" if found is None else fingerprint(source.view, found, source.contents)
            if source.context is not None:
                self._sources.notes.bound(source.context, mounts[index].source, bound[str(index)])
            source.contents.save()
        return key_of(
            parent=state.key,
            op="run",
            argv=what.argv,
            script=what.script,
            environment=dict(state.variables),
            directory=state.draft.working_dir,
            user=state.draft.text("User"),
            mounts=[_mount_key(mount) for mount in mounts],
            bound=bound,
            network=running.network(run, self._request),
            security=run.security,
            hosts=self._request.extra_hosts,
        )

    def _proxies(self) -> dict[str, str]:
        given = {k: v for k, v in self._request.arguments.items() if k in metadata.PROXY_ARGUMENTS}
        return {**self._request.proxies, **given}

    def _check_entitlements(self, run: Run) -> None:
        if run.security == "insecure" and not (self._request.privileged or "security.insecure" in self._request.entitlements):
            raise BuildError(
                "security.insecure is not allowed: the build was not given this right",
                hint="set build.privileged: true (or build.entitlements: [security.insecure]) if you trust this Dockerfile with the whole host",
            )

    async def _mount_inputs(self, mounts: tuple[RunMount, ...], turn: Turn) -> dict[int, Input]:
        found = {}
        for index, mount in enumerate(mounts):
            if mount.origin and mount.kind in ("bind", "cache"):
                found[index] = await self._input(mount.origin, turn)
            elif mount.kind == "bind":
                found[index] = await self._sources.context(turn.journal)
        return found

    # --- trees

    async def _input(self, origin: str, turn: Turn) -> Input:
        if origin in self._request.contexts:
            return await self._sources.named(origin, turn.journal)
        stage = source_stage(turn.dockerfile, origin, turn.stage.number)
        if stage is None:
            return await self._sources.image(origin, turn.journal)
        state = await turn.other_stage(stage.number)
        return self._sources.of_layers(f"stage {stage.title}", state.key, state.layers)

    def _use_cache(self, turn: Turn) -> bool:
        filtered = self._request.no_cache_filter
        return not self._request.no_cache and turn.stage.name not in filtered and str(turn.stage.number) not in filtered


def _with_layer(state: StageState, key: str, record: CacheRecord, created_by: str) -> StageState:
    layers = (*state.layers, record.diff_id) if record.diff_id else state.layers
    return replace(state, layers=layers, key=key, draft=state.draft.recorded(created_by, created=record.created, empty=not record.diff_id))


def _run_shown(state: StageState, argv: tuple[str, ...]) -> str:
    """RUN as BuildKit writes it into the history, with the ARGs and what they are worth."""
    arguments = [f"{name}={state.variables.get(name, '')}" for name in state.declared]
    return f"RUN {' '.join([*([f'|{len(arguments)}'] if arguments else []), *arguments, running.shown(argv)])} # buildkit"


def _copy_shown(copy: Copy, expand: Callable[[str], str]) -> str:
    """COPY and ADD as BuildKit writes them into the history."""
    words = ["ADD" if copy.add else "COPY"]
    words += ["--parents"] if copy.parents else []
    words += [f"--chown={expand(copy.chown)}"] if copy.chown else []
    words += [f"--chmod={expand(copy.chmod)}"] if copy.chmod else []
    words += [*(expand(word) for word in copy.sources), *(f"<<{h.name}" for h in copy.heredocs), expand(copy.target)]
    return f"{' '.join(words)} # buildkit"


def _make_directory(upper: str, lowers: tuple[str, ...], path: str, owner: tuple[int, int] | None) -> None:
    writer = LayerWriter(upper, lowers)
    if writer.view.locate(path).node is None:
        writer.directory(path, owner=owner)


def _mount_key(mount: RunMount) -> list[object]:
    return [mount.kind, mount.target, mount.source, mount.id, mount.read_only, mount.env]


def _message(error: Exception) -> str:
    return error.message if isinstance(error, RuntimeFailure) else str(error)


def _explained(error: Exception, source: Source, instruction: Run | Copy | Workdir, step: Step) -> Exception:
    match error:
        case FileNotFoundError() if isinstance(instruction, Copy) and error.args:
            name = error.filename or error.args[0]
            name = posixpath.normpath(f"/{name}")
            return fault(source, instruction.place, f'"{name}": not found', hint="is it named in .dockerignore, or outside the context?")
        case RuntimeFailure():
            tail = step.tail()
            shown = f"{error.message}\n------\n > {step.name}:\n{tail}\n------" if tail else error.message
            return fault(source, instruction.place, shown, hint=error.hint)
        case ValueError() | OSError():
            return fault(source, instruction.place, str(error))
        case _:
            return error
