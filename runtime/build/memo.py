"""What a build was made of, so that a build of the very same is answered without an event loop, a parser or a graph.

A memo lists everything that a build looked at outside the store: the request, the Dockerfile, the ignore file, base images by id, and what
each instruction took from contexts. All of it unchanged means the same image. One JSON file per request below ``<root>/images/cache/builds``;
losing it costs time only. Reads and writes in the command's process; imports little.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import field, replace

from runtime import codec
from runtime.build.events import BuildEvent, Progress, StepDone, StepNote, StepStarted
from runtime.build.inputs import Input, of_directory
from runtime.build.request import BuildRequest
from runtime.build.selection import Selection, digest
from runtime.images.store import ImageStore
from runtime.record import dataclass
from runtime.state import ImageState
from runtime.store import read_file, write_atomic

_VERSION = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundFile:
    """What ``RUN --mount=type=bind`` showed of a context."""

    context: str
    source: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """A build's inputs and outcome. ``steps`` are (name, whether it can be "CACHED") in order."""

    image: str
    dockerfile: str
    images: Mapping[str, str] = field(default_factory=dict)
    selections: tuple[Selection, ...] = ()
    bound: tuple[BoundFile, ...] = ()
    steps: tuple[tuple[str, bool], ...] = ()


class Notes:
    """Taken while a build runs. ``spoil`` says that it looked at something that cannot be compared cheaply (a URL, a repository)."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, bool]] = []
        self._names: dict[int, str] = {}
        self._images: dict[str, str] = {}
        self._selections: list[Selection] = []
        self._bound: list[BoundFile] = []
        self._spoilt = False

    def image(self, reference: str, image_id: str) -> None:
        """An image was used."""
        self._images[reference] = image_id

    def selected(self, selection: Selection) -> None:
        """An instruction took files of a context."""
        self._selections.append(selection)

    def bound(self, context: str, source: str, value: str) -> None:
        """A mount showed files of a context."""
        self._bound.append(BoundFile(context=context, source=source, digest=value))

    def spoil(self) -> None:
        """No memo can be made of this build."""
        self._spoilt = True

    def watching(self, progress: Progress) -> Progress:
        """``progress``, with the steps taken down on the way."""

        def watch(event: BuildEvent) -> None:
            if isinstance(event, StepStarted):
                self._names[event.number] = event.name
            elif isinstance(event, StepDone) and not event.error:
                name = self._names[event.number]
                self._steps.append((name, name.startswith("[") and "[internal]" not in name))
            progress(event)

        return watch

    def memo(self, request: BuildRequest, image_id: str) -> Memo | None:
        """The memo of a finished build, or None."""
        dockerfile = _dockerfile(request)
        if self._spoilt or dockerfile is None:
            return None
        return Memo(
            image=image_id,
            dockerfile=dockerfile,
            images=self._images,
            selections=tuple(self._selections),
            bound=tuple(self._bound),
            steps=tuple(self._steps),
        )


def remember(store: ImageStore, request: BuildRequest, memo: Memo | None) -> None:
    """Write a memo down."""
    if memo is None or not _comparable(request):
        return
    path = _place(store, request)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomic(path, codec.dumps(memo))


def recall(store: ImageStore, request: BuildRequest, progress: Progress) -> ImageState | None:
    """The image of a build of the very same, its steps told as cached; None when anything differs."""
    if not _comparable(request):
        return None
    content = read_file(_place(store, request))
    try:
        memo = codec.loads(Memo, content) if content else None
    except (ValueError, TypeError, KeyError):
        return None
    if memo is None or memo.dockerfile != _dockerfile(request):
        return None
    image = store.find(memo.image)
    if image is None or not _same_images(store, memo) or not _named(store, request, image) or not _same_files(store, request, memo):
        return None
    _tell(memo, image, progress)
    return image


def _comparable(request: BuildRequest) -> bool:
    refused = request.no_cache or request.pull or request.no_cache_filter or request.cache_to or request.cache_from
    contexts = [request.context, *(c for c in request.contexts.values() if not c.startswith("docker-image://"))]
    return not refused and all(not c or os.path.isdir(c) for c in contexts)


def _place(store: ImageStore, request: BuildRequest) -> str:
    secretless = replace(request, secrets=(), ssh={}, references=())
    name = hashlib.sha256(
        f"{_VERSION}\0{codec.dumps(secretless)}\0{[s.id for s in request.secrets]}\0{sorted(request.ssh)}".encode()
    ).hexdigest()
    return f"{store.root}/cache/builds/{name[:32]}.json"


def _dockerfile(request: BuildRequest) -> str | None:
    if request.dockerfile_text is not None:
        content: bytes | None = request.dockerfile_text.encode("utf-8", "surrogateescape")
    else:
        content = read_file(os.path.join(os.path.abspath(request.context), request.dockerfile))
    return None if content is None else hashlib.sha256(content).hexdigest()


def _same_images(store: ImageStore, memo: Memo) -> bool:
    for reference, image_id in memo.images.items():
        found = store.find(reference)
        if found is None or found.id != image_id:
            return False
    return True


def _named(store: ImageStore, request: BuildRequest, image: ImageState) -> bool:
    from runtime.images.reference import parse

    return {parse(r).familiar for r in request.references} <= set(image.references)


def _same_files(store: ImageStore, request: BuildRequest, memo: Memo) -> bool:
    from runtime.build.fingerprint import fingerprint

    trees = _Trees(store, request)
    for selection in memo.selections:
        if digest(trees.tree(selection.context), selection) != selection.digest:
            return False
    for bound in memo.bound:
        tree = trees.tree(bound.context)
        node = tree.view.locate(bound.source).node
        if node is None or fingerprint(tree.view, node, tree.contents) != bound.digest:
            return False
    trees.save()
    return True


class _Trees:
    def __init__(self, store: ImageStore, request: BuildRequest) -> None:
        self._cache = f"{store.root}/cache"
        self._request = request
        self._known: dict[str, Input] = {}

    def tree(self, context: str) -> Input:
        if context not in self._known:
            main = not context
            directory = os.path.abspath(self._request.context if main else self._request.contexts[context])
            dockerfile = os.path.join(directory, self._request.dockerfile) if main and self._request.dockerfile_text is None else None
            self._known[context] = of_directory(context, directory, dockerfile, self._cache)
        return self._known[context]

    def save(self) -> None:
        for tree in self._known.values():
            tree.contents.save()


def _tell(memo: Memo, image: ImageState, progress: Progress) -> None:
    for number, (name, cached) in enumerate(memo.steps, 1):
        progress(StepStarted(number=number, name=name))
        if name == "exporting to image":
            progress(StepNote(number=number, text=f"image {image.id} is up to date"))
        progress(StepDone(number=number, seconds=0.0, cached=cached))
