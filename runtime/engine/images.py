"""The door to images for commands: a thin one. Synchronous (transfers block and use threads of their own); imports what a call needs.

Runs in the command's process. Every function takes ``where``, the paths in force by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from runtime.images.catalog import ImageInfo
from runtime.images.events import Progress, TransferEvent
from runtime.images.store import ImageStore, Removed
from runtime.state import ImageState
from runtime.store import Paths, paths

if TYPE_CHECKING:
    import threading

    from runtime.images.flatten import HistoryRow
    from runtime.images.maintenance import Damage, DiskUsage, Pruned


def store(where: Paths | None = None) -> ImageStore:
    """The image store in force."""
    return ImageStore(where or paths())


def images(where: Paths | None = None) -> tuple[ImageState, ...]:
    """All images, newest first."""
    return store(where).list()


def get(reference: str, where: Paths | None = None) -> ImageState:
    """One image. Raises NotFound."""
    return store(where).get(reference)


def raw_config(image_id: str, where: Paths | None = None) -> bytes:
    """An image's configuration as it came."""
    return store(where).raw_config(image_id)


def info(image_id: str, where: Paths | None = None) -> ImageInfo:
    """What is known of an image besides."""
    return store(where).catalog.info(image_id)


def used_by(where: Paths | None = None) -> Mapping[str, tuple[str, ...]]:
    """Image id → names of containers made of it."""
    return store(where).used_by()


def history(reference: str, where: Paths | None = None) -> tuple[HistoryRow, ...]:
    """How the image came about, newest first, with the bytes each step added."""
    from runtime.images import flatten

    return flatten.history(store(where), reference)


def tag(reference: str, new: str, where: Paths | None = None) -> None:
    """Give an image a further name."""
    store(where).tag(reference, new)


def remove(reference: str, *, force: bool = False, where: Paths | None = None) -> Removed:
    """Untag, and delete with the last name. Raises NotFound, InUse."""
    return store(where).remove(reference, force=force)


def prune(*, all_unused: bool = False, until: int | None = None, labels: Sequence[str] = (), where: Paths | None = None) -> Pruned:
    """Remove what nothing uses; ``until`` in ns since the epoch."""
    return store(where).prune(all_unused=all_unused, until=until, labels=labels)


def disk_usage(where: Paths | None = None) -> DiskUsage:
    """What the store takes on disk."""
    return store(where).df()


def verify(where: Paths | None = None) -> tuple[Damage, ...]:
    """What in the store is damaged."""
    return store(where).verify()


def pull(reference: str, *, platform: str | None = None, progress: Progress | None = None, where: Paths | None = None) -> ImageState:
    """Pull an image. Raises RegistryError, ImageError."""
    from runtime.images import pull as pulls

    return pulls.pull(store(where), reference, platform=platform, progress=progress)


def push(reference: str, *, progress: Progress | None = None, cancel: threading.Event | None = None, where: Paths | None = None) -> str:
    """Push an image; returns the manifest's digest. Raises RegistryError, NotFound."""
    from runtime.images import push as pushes

    return pushes.push(store(where), reference, progress=progress, cancel=cancel)


def side_by_side(jobs: Sequence[Callable[[], None]], parallel: int, cancel: threading.Event) -> None:
    """Run transfers in threads, ``parallel`` at a time. Sets ``cancel`` at the first failure and raises it."""
    from runtime.images import workers

    workers.run(jobs, parallel, cancel)


def bootstrap(reference: str, *, mirror: str = "", progress: Progress | None = None, where: Paths | None = None) -> ImageState:
    """Make a base image from the distribution's packages. Raises ImageError, Unsupported."""
    from runtime.images import bootstrap as boots

    def report(line: str) -> None:
        if progress:
            progress(TransferEvent(reference=reference, status=line))

    return boots.bootstrap(store(where), reference, mirror=mirror, report=report)


def import_root(tar: BinaryIO, reference: str, changes: Sequence[str] = (), message: str = "", where: Paths | None = None) -> ImageState:
    """An image out of a root file system's tar."""
    return store(where).import_root(tar, reference, changes, message)


def load(tar: BinaryIO, where: Paths | None = None) -> tuple[str, ...]:
    """Load an archive; returns references or ids."""
    return store(where).load(tar)


def save(references: Sequence[str], file: BinaryIO, form: str = "docker", where: Paths | None = None) -> None:
    """Write an archive of images."""
    store(where).save(references, file, format=form)


def write_bundle(documents: Mapping[str, bytes], references: Sequence[str], file: BinaryIO, where: Paths | None = None) -> None:
    """Write images, each layer once, and a project's documents into one file."""
    from runtime.images import bundle

    bundle.write(store(where), documents, references, file)


def read_bundle(file: BinaryIO, where: Paths | None = None) -> Mapping[str, bytes]:
    """Load the images of a bundle; returns its documents by name. Raises ImageError."""
    from runtime.images import bundle

    return bundle.read(store(where), file)


def export(reference: str, where: Paths | None = None) -> Iterator[bytes]:
    """The image's root file system as one tar, in chunks."""
    from runtime.images import flatten

    return flatten.export(store(where), reference)


def commit(
    project: str, container_id: str, reference: str, *, changes: Sequence[str] = (), author: str = "", message: str = "", where: Paths | None = None
) -> ImageState:  # fmt: skip
    """A new image of a container's changes (pause it first if it runs). Raises NotFound."""
    from runtime.images import committing

    at = where or paths()
    return committing.commit_container(
        store(at), at.container(project, container_id), reference, changes=changes, author=author, message=message
    )


def login(registry: str, username: str, password: str) -> str:
    """Check a user and password at a registry and keep them; returns where. Raises RegistryError."""
    from runtime.images.registry import login as logins

    return logins.login(registry, username, password)


def logout(registry: str) -> bool:
    """Forget a registry's credential; whether there was one."""
    from runtime.images.registry import login as logins

    return logins.logout(registry)


def known_user(registry: str) -> str:
    """The user kept for a registry, "" for none."""
    from runtime.images.registry import login as logins

    return logins.known_user(registry)


__all__ = [
    "ImageInfo", "ImageStore", "Progress", "Removed", "TransferEvent", "bootstrap", "commit", "disk_usage", "export", "get", "history", "images", "import_root",
    "info", "known_user", "load", "login", "logout", "prune", "pull", "push", "raw_config",
    "read_bundle", "remove", "save", "store", "tag", "used_by", "verify", "write_bundle",
]  # fmt: skip


def resolve_digests(references: Sequence[str]) -> Mapping[str, str]:
    """The digests that registries have for references now, asked side by side. Raises RegistryError for the first that none answers for."""
    from concurrent.futures import ThreadPoolExecutor

    from runtime.images.pull import remote_digest

    wanted = list(dict.fromkeys(references))
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(wanted, pool.map(remote_digest, wanted), strict=True))
