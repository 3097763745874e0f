"""One build from request to image: context, Dockerfile, stages, configuration, names. On the event loop of the command's process."""

from __future__ import annotations

from collections.abc import Mapping

from anyio import to_thread

from runtime.build import context as contexts
from runtime.build import platform, transfer
from runtime.build.builder import Builder
from runtime.build.cache import CacheRecord
from runtime.build.events import Progress
from runtime.build.journal import Journal
from runtime.build.memo import Notes, remember
from runtime.build.request import BuildRequest
from runtime.build.solver import Solver
from runtime.build.sources import Sources
from runtime.build.state import StageState
from runtime.errors import BuildError, RuntimeFailure
from runtime.images import digest as digests
from runtime.images.reference import parse as parse_reference
from runtime.images.store import ImageStore
from runtime.state import ImageState


async def build(store: ImageStore, request: BuildRequest, progress: Progress, builder: Builder | None = None) -> ImageState:
    """Build an image and give it its names. ``builder`` is shared by the builds of one command. Raises BuildError and its like."""
    for wanted in request.platforms:
        platform.refuse_foreign(wanted)
    _refuse_network(request.network)
    notes = Notes()
    journal = Journal(notes.watching(progress))
    with store.lease():
        builder = builder or Builder(store)
        context = await _load(request, builder, journal)
        source = context.source()
        for line, message in source.warnings:
            journal.warn("NoEmptyContinuation", message, line)
        await _fetch_caches(request, builder, journal)
        sources = Sources(builder, request, context, journal, notes)
        solver = Solver(builder, request, source, sources, journal)
        state = await solver.solve()
        image = await _export(store, request, state, solver.records, journal)
        await _send_caches(request, store, solver.records, journal)
    await to_thread.run_sync(remember, store, request, notes.memo(request, image.id))
    return image


def _refuse_network(name: str) -> None:
    """``build.network`` is a mode, for the build's containers are none of the project's. Raises BuildError for the name of a network."""
    if name not in ("", "default", "host", "none") and not name.startswith("/"):
        raise BuildError(
            f'network mode "{name}" is not supported by builds',
            hint="build.network is default, host or none; the networks of a project are there when its containers run",
        )


async def _load(request: BuildRequest, builder: Builder, journal: Journal) -> contexts.Context:
    step = journal.step(
        f"[internal] load build definition from {request.dockerfile if request.dockerfile_text is None else 'inline Dockerfile'}"
    )
    try:
        found = await to_thread.run_sync(contexts.load, request, builder.cache.root)
    except BuildError as error:
        step.done(error=error.message)
        raise
    step.done()
    return found


async def _fetch_caches(request: BuildRequest, builder: Builder, journal: Journal) -> None:
    """``cache_from``; a place that cannot be read costs time only, and is told."""
    for text in request.cache_from:
        place = transfer.parse(text)
        step = journal.step(f"importing cache manifest from {place}")
        try:
            await to_thread.run_sync(transfer.fetch, builder.store, builder.cache, place)
            step.done()
        except RuntimeFailure as error:
            step.done(error=error.message)


async def _send_caches(request: BuildRequest, store: ImageStore, records: Mapping[str, CacheRecord], journal: Journal) -> None:
    for place in map(transfer.parse, request.cache_to):
        step = journal.step(f"exporting cache to {place}")
        try:
            await to_thread.run_sync(transfer.send, store, place, records)
        except Exception as error:
            step.done(error=str(error))
            raise
        step.done()


async def _export(
    store: ImageStore, request: BuildRequest, state: StageState, records: Mapping[str, CacheRecord], journal: Journal
) -> ImageState:  # fmt: skip
    step = journal.step("exporting to image")
    draft = state.draft
    if request.labels:
        draft = draft.with_(Labels={**draft.mapping("Labels"), **request.labels})
    config = draft.document(state.layers)
    if any(transfer.parse(text).kind == "inline" for text in request.cache_to):
        config = transfer.with_keys(config, records)
    image = await to_thread.run_sync(_publish, store, config, state.layers, request.references)
    step.note(f"writing image {image.id}")
    for reference in request.references:
        step.note(f"naming to {parse_reference(reference).canonical}")
    step.done()
    return image


def _publish(store: ImageStore, config: bytes, layers: tuple[str, ...], references: tuple[str, ...]) -> ImageState:
    image_id = digests.of(config)
    known = store.find(image_id)
    if known is not None and {parse_reference(r).familiar for r in references} <= set(known.references):
        return known
    return store.add_image(config, layers, references)
