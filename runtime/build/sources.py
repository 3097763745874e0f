"""Where files come from: the context, further contexts, base images. Each is looked up once per build. On the event loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread

from runtime.build import context as contexts
from runtime.build import draft as drafts
from runtime.build import fetching, git, platform
from runtime.build.builder import Builder
from runtime.build.cache import key_of
from runtime.build.contents import Contents, place
from runtime.build.inputs import Input, of_directory
from runtime.build.instructions import Copy
from runtime.build.journal import Journal
from runtime.build.memo import Notes
from runtime.build.request import BuildRequest
from runtime.build.state import StageState
from runtime.build.view import View
from runtime.errors import BuildError
from runtime.images import config as configs
from runtime.images.store import ImageStore
from runtime.state import ImageState

T = TypeVar("T")


class Sources:
    """The inputs of one build."""

    def __init__(self, builder: Builder, request: BuildRequest, context: contexts.Context, journal: Journal, notes: Notes) -> None:
        self._builder = builder
        self._request = request
        self._context = context
        self._journal = journal
        self._lock = anyio.Lock()
        self._known: dict[str, Input] = {}
        self._images: dict[str, ImageState] = {}
        self.notes = notes

    def check_platform(self, text: str) -> None:
        """Raise Unsupported for a platform that this machine is not."""
        platform.refuse_foreign(text)

    async def base(self, image: str, title: str) -> tuple[StageState, tuple[str, ...]]:
        """The state that FROM an image starts with, and the image's ONBUILD triggers. Raises ImageError and its like."""
        if image == "scratch":
            return _start(drafts.empty(platform.native()), (), "scratch"), ()
        reference = await self._reference(image)
        step = self._journal.step(title)
        try:
            found = await self._resolve(reference)
            raw = await to_thread.run_sync(self._builder.store.raw_config, found.id)
        except Exception as error:
            step.done(error=str(error))
            raise
        step.done(cached=True)
        key = key_of(op="image", layers=found.config.diff_ids)
        return _start(drafts.of_image(raw), found.config.diff_ids, key), configs.on_build(raw)

    async def image(self, reference: str, journal: Journal) -> Input:
        """The files of an image."""
        async with self._lock:
            found = await self._resolve(reference)
        return self.of_layers(reference, key_of(op="image", layers=found.config.diff_ids), found.config.diff_ids)

    async def context(self, journal: Journal) -> Input:
        """The build's own context."""
        where = self._context
        return await self._once("", "[internal] load build context", lambda: self._directory("", where.directory, where.dockerfile))

    async def named(self, name: str, journal: Journal) -> Input:
        """A further context."""
        wanted = self._request.contexts[name]
        if wanted.startswith("docker-image://"):
            return await self.image(wanted.removeprefix("docker-image://"), journal)
        if wanted.startswith("oci-layout://"):
            return await self.image(await self._oci_layout(wanted.removeprefix("oci-layout://")), journal)
        cache = self._builder.cache.root
        title = f"[context {name}] load from client"
        return await self._once(name, title, lambda: self._directory(name, contexts.fetch(wanted, cache), None))

    def of_layers(self, title: str, key: str, layers: tuple[str, ...]) -> Input:
        """The files of a stage or image; digests of their contents are kept by ``key``."""
        known = self._known.get(f"layers:{key}")
        if known is None:
            directories = self._builder.directories(layers)
            contents = Contents(place(self._builder.cache.root, f"layers:{key}"))
            known = self._known[f"layers:{key}"] = Input(title=title, view=View(directories), layers=directories, contents=contents)
        return known

    def repository(self, wanted: git.GitReference, copy: Copy) -> Input:
        """A git repository's tree for ADD. Raises BuildError."""
        self.notes.spoil()
        found = git.checkout(wanted, self._builder.cache.root, keep_git_dir=copy.keep_git_dir)
        if copy.checksum and not found.commit.startswith(copy.checksum):
            raise BuildError(f"{wanted.url} is at {found.commit}, expected {copy.checksum}")
        return self._tree(wanted.url, found.directory)

    def download(self, url: str, checksum: str) -> tuple[str, Input]:
        """(name, tree that holds it) of a downloaded file. Raises BuildError."""
        self.notes.spoil()
        found = fetching.fetch(url, self._builder.cache.root, checksum)
        return found.name, self._tree(url, found.directory)

    def _tree(self, title: str, directory: str) -> Input:
        contents = Contents(place(self._builder.cache.root, directory))
        return Input(title=title, view=View([directory], owner=(0, 0)), layers=(directory,), contents=contents, plain=False)

    async def _once(self, name: str, title: str, load: Callable[[], Input]) -> Input:
        async with self._lock:
            known = self._known.get(f"context:{name}")
            if known is None:
                step = self._journal.step(title)
                known = self._known[f"context:{name}"] = await to_thread.run_sync(load)
                step.done()
            return known

    def _directory(self, name: str, directory: str, dockerfile: str | None) -> Input:
        if not directory:
            raise BuildError("there is no build context", hint="give build.context")
        return of_directory(name, directory, dockerfile, self._builder.cache.root)

    async def _reference(self, image: str) -> str:
        """The image that FROM means, a further context's in its place. Raises BuildError."""
        wanted = self._request.contexts.get(image)
        if wanted is None:
            return image
        if wanted.startswith("docker-image://"):
            return wanted.removeprefix("docker-image://")
        if wanted.startswith("oci-layout://"):
            return await self._oci_layout(wanted.removeprefix("oci-layout://"))
        raise BuildError(f"the context {image!r} is a directory, and FROM needs an image", hint="COPY --from takes directories")

    async def _resolve(self, reference: str) -> ImageState:
        known = self._images.get(reference)
        if known is None:
            known = self._images[reference] = await self._find_or_pull(reference)
            self.notes.image(reference, known.id)
        return known

    async def _find_or_pull(self, reference: str) -> ImageState:
        store = self._builder.store
        found = await to_thread.run_sync(store.find, reference)
        if found is not None and not self._request.pull:
            return found
        from runtime.build.pulling import pull

        return await pull(store, reference, found)

    async def _oci_layout(self, place_: str) -> str:
        """An OCI layout's image, brought into the store; returns its name. ``path[:tag|@digest]``."""
        path, _, _ = (
            place_.partition("@") if "@" in place_ else place_.rpartition(":") if ":" in place_.rpartition("/")[2] else (place_, "", "")
        )
        return await to_thread.run_sync(_load_layout, self._builder.store, path)


def _start(draft: drafts.Draft, layers: tuple[str, ...], key: str) -> StageState:
    return StageState(layers=layers, key=key, draft=draft, variables=draft.environment)


def _load_layout(store: ImageStore, path: str) -> str:
    import tarfile
    import tempfile

    if not os.path.isdir(path):
        raise BuildError(f"oci-layout://{path}: no such directory")
    os.makedirs(f"{store.root}/tmp", mode=0o700, exist_ok=True)
    with tempfile.TemporaryFile(dir=f"{store.root}/tmp") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.add(path, arcname=".")
        file.seek(0)
        return store.load(file)[0]
