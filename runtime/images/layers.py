"""Layers on disk: ``<root>/images/layers/<diff id>/{diff, split, layer.json, durable}``. Published whole by one rename, shared by diff id.

``diff`` is an overlay lower directory. A layer is trusted when it was written since the last boot, or made durable (syncfs) afterwards;
one that a power cut may have hurt is read again and compared before it is used. Any process of ours may add; ``lock`` guards removal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from runtime import codec, store
from runtime.errors import ImageError, KernelError
from runtime.images import digest as digests
from runtime.images.layer import Layer, Source
from runtime.images.limits import Limits

Decompress = Callable[[Iterable[bytes]], Iterator[bytes]]
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class LayerStore:
    """The layers below one images directory."""

    def __init__(self, root: str, limits: Limits | None = None) -> None:
        self.root = root
        self._limits = limits
        self.lock = f"{root}/lock"
        self._boot = (store.read_file(_BOOT_ID) or b"").decode().strip()

    @property
    def limits(self) -> Limits:
        """What layers may ask of this host: as given, else as registries.toml says."""
        if self._limits is None:
            from runtime.images.registry import settings

            self._limits = settings.load().limits
        return self._limits

    def home(self, diff_id: str) -> str:
        """The layer's own directory."""
        return f"{self.root}/layers/{digests.hex_of(diff_id, 'diff id')}"

    def directory(self, diff_id: str) -> str:
        """The unpacked content, an overlay lower directory."""
        return f"{self.home(diff_id)}/diff"

    def get(self, diff_id: str) -> Layer | None:
        """The layer, or None when it is not there (or did not survive a power cut)."""
        text = store.read_file(f"{self.home(diff_id)}/layer.json")
        if text is None:
            return None
        layer = codec.loads(Layer, text)
        return layer if self._trusted(layer) else None

    def all(self) -> tuple[str, ...]:
        """Every diff id there is."""
        return tuple(f"sha256:{name}" for name in store.entries(f"{self.root}/layers") if len(name) == 64)

    def reuse(self, diff_id: str) -> Layer | None:
        """``get`` for one who is about to refer to the layer: no garbage collection takes it while his lease lasts."""
        with store.locked(self.lock, shared=True):
            layer = self.get(diff_id)
            if layer is not None:
                os.utime(f"{self.home(diff_id)}/layer.json")
            return layer

    def add_tar(self, chunks: Iterable[bytes], expected: str = "") -> Layer:
        """Unpack a tar (plain, gzip or zstd). Raises ImageError when its diff id is not ``expected``; nothing is left of it then."""
        from runtime.images import unpack
        from runtime.images.bytestream import ByteStream, Hashing, ReadAhead
        from runtime.images.compression import decompressed
        from runtime.images.split import SplitWriter

        hashing = Hashing(bounded(chunks, decompressed, self.limits))
        ahead = ReadAhead(hashing)
        try:
            with self.staging() as home:
                os.mkdir(f"{home}/diff", 0o755)
                recorder = SplitWriter(f"{home}/split")
                try:
                    done = unpack.unpack(ByteStream(ahead), f"{home}/diff", f"{home}/replaced", recorder, self.limits)
                finally:
                    recorder.close()
                if expected and hashing.digest != expected:
                    raise ImageError(
                        f"a layer does not match its diff id: expected {expected}, got {hashing.digest}",
                        hint="pull or load the image again",
                    )
                layer = self._layer(hashing.digest, done.size, hashing.length, done.entries, done.replaced)
                return self.publish(home, layer)
        finally:
            ahead.close()

    def add_directory(self, directory: str, *, move: bool = False) -> Layer:
        """A layer out of a directory in overlay form (an upper directory). ``move`` takes the directory itself, which must be on the same file system."""
        from runtime.images import pack
        from runtime.images.bytestream import Hashing
        from runtime.images.split import SplitWriter

        if not move:
            return self.add_tar(pack.pack(directory))
        with self.staging() as home:
            recorder = SplitWriter(f"{home}/split")
            packer = pack.Packer(directory, recorder, normalise=True)
            hashing = Hashing(packer)
            for _ in hashing:
                pass
            recorder.close()
            os.rename(directory, f"{home}/diff")
            return self.publish(home, self._layer(hashing.digest, packer.size, hashing.length, packer.entries, ()))

    def _layer(self, diff_id: str, size: int, tar_size: int, entries: int, replaced: tuple[tuple[int, str, int], ...]) -> Layer:
        return Layer(
            diff_id=diff_id, size=size, tar_size=tar_size, entries=entries, boot_id=self._boot, created_at=time.time_ns(), replaced=replaced
        )  # fmt: skip

    @contextmanager
    def staging(self) -> Iterator[str]:
        """A directory of our own that is gone afterwards, unless it was published. A dead process's are swept by garbage collection."""
        home = f"{self.root}/tmp/{os.getpid()}-{os.urandom(6).hex()}"
        with ExitStack() as held:
            # the sweep holds it alone: it never sees a directory whose lock is about to be taken
            with store.locked(self.lock, shared=True):
                held.enter_context(store.locked(f"{home}.lock"))
                os.makedirs(home, mode=0o700)
            try:
                yield home
            finally:
                from runtime.images.tree import remove_tree

                remove_tree(home)
                store.remove_file(f"{home}.lock")

    def publish(self, home: str, layer: Layer) -> Layer:
        """Rename a staged layer to its place; somebody else's equal layer is taken instead when he was first."""
        store.write_atomic(f"{home}/layer.json", codec.dumps(layer))
        place = self.home(layer.diff_id)
        os.makedirs(os.path.dirname(place), mode=0o711, exist_ok=True)
        with store.locked(self.lock, shared=True):
            if self.get(layer.diff_id) is None:
                self._discard(place)
            try:
                os.rename(home, place)
                os.chmod(place, 0o711)
            except OSError:
                os.utime(f"{place}/layer.json")
        return self.get(layer.diff_id) or layer

    def remember(self, diff_id: str, digest: str, source: Source) -> None:
        """Note that registries hold the layer in a compressed form, by blob digest."""
        with store.locked(self.lock):
            layer = self.get(diff_id)
            if layer is None:
                return
            known = layer.sources.get(digest)
            repositories = tuple(dict.fromkeys((*source.repositories, *(known.repositories if known else ()))))[:16]
            sources = {**layer.sources, digest: Source(media_type=source.media_type, size=source.size, repositories=repositories)}
            if known is None or known.repositories != repositories:
                store.write_atomic(f"{self.home(diff_id)}/layer.json", codec.dumps(_with_sources(layer, sources)))

    def tar(self, diff_id: str) -> Iterator[bytes]:
        """The layer's tar, compared with its diff id at the end. Raises ImageError."""
        from runtime.images.bytestream import Hashing
        from runtime.images.split import assemble

        layer = self.require(diff_id)
        hashing = Hashing(assemble(self.home(diff_id), layer.replaced))
        yield from hashing
        if hashing.digest != diff_id:
            raise ImageError(
                f"the layer {diff_id} was changed on disk",
                hint="remove the image and pull or load it again; `image verify` lists what is damaged",
            )

    def require(self, diff_id: str) -> Layer:
        """``get`` that raises ImageError."""
        layer = self.get(diff_id)
        if layer is None:
            raise ImageError(f"the layer {diff_id} is not in the store", hint="pull, load or build the image again")
        return layer

    def make_durable(self, diff_ids: Iterable[str]) -> None:
        """Return when these layers survive a power cut; one syncfs(2) for all of them."""
        young = [d for d in diff_ids if not os.path.exists(f"{self.home(d)}/durable")]
        if not young:
            return
        sync(self.root)
        for diff_id in young:
            with open(f"{self.home(diff_id)}/durable", "wb"):
                pass

    def remove(self, diff_id: str) -> None:
        """Remove the layer; the caller holds the lock and knows that nobody uses it."""
        self._discard(self.home(diff_id))

    def _discard(self, place: str) -> None:
        from runtime.images.tree import remove_tree

        if not os.path.lexists(place):
            return
        os.makedirs(f"{self.root}/tmp", mode=0o700, exist_ok=True)
        trash = f"{self.root}/tmp/trash-{os.getpid()}-{os.urandom(4).hex()}"
        os.rename(place, trash)
        remove_tree(trash)

    def _trusted(self, layer: Layer) -> bool:
        home = self.home(layer.diff_id)
        if layer.boot_id == self._boot or os.path.exists(f"{home}/durable"):
            return True
        if not self.intact(layer):
            return False
        self.make_durable([layer.diff_id])
        return True

    def intact(self, layer: Layer) -> bool:
        """Read the whole layer and compare it with its diff id."""
        from runtime.images.bytestream import Hashing
        from runtime.images.split import assemble

        hashing = Hashing(assemble(self.home(layer.diff_id), layer.replaced))
        try:
            for _ in hashing:
                pass
        except ImageError:
            return False
        return hashing.digest == layer.diff_id


def bounded(chunks: Iterable[bytes], decompress: Decompress, limits: Limits) -> Iterator[bytes]:
    """Decompress, and refuse what unpacks to absurdly more than it came as."""
    packed = unpacked = 0

    def counted() -> Iterator[bytes]:
        nonlocal packed
        for chunk in chunks:
            packed += len(chunk)
            yield chunk

    for chunk in decompress(counted()):
        unpacked += len(chunk)
        if unpacked > limits.layer_bytes or (unpacked > limits.ratio_floor and unpacked > packed * limits.ratio):
            raise ImageError(
                f"the layer unpacks from {packed} to more than {unpacked} bytes",
                hint="if this is meant, raise limits.ratio or limits.layer_bytes in registries.toml"
            )  # fmt: skip
        yield chunk


def sync(path: str) -> None:
    """syncfs(2) of the file system that holds ``path``."""
    from runtime.native.syncfs import syncfs

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(descriptor)
    except OSError as error:
        raise KernelError("syncfs", error.errno or 0, path) from error
    finally:
        os.close(descriptor)


def _with_sources(layer: Layer, sources: dict[str, Source]) -> Layer:
    from dataclasses import replace

    return replace(layer, sources=sources)
