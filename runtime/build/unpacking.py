"""ADD of archives: tar, plain or packed with gzip, bzip2, xz or zstd, written into a layer. Runs in worker threads of the command's process.

Names are taken as lying below the target and looked up inside the image; what climbs out is refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from runtime.build.copying import CopyOptions
from runtime.build.writer import LayerWriter
from runtime.errors import BuildError, ImageError
from runtime.images.bytestream import ByteStream
from runtime.images.compression import decompressed, kind_of
from runtime.images.tarstream import BLOCK, Entry, TarStream

_CHUNK = 1 << 20
_BZIP2, _XZ = b"BZh", b"\xfd7zXZ\0"


def is_archive(path: str) -> bool:
    """Whether a file is a tar archive, packed or not: its first header must be one."""
    try:
        block = ByteStream(_plain(path)).take(BLOCK)
    except (ImageError, OSError, EOFError):
        return False
    return len(block) == BLOCK and _checksum(block)


def unpack(writer: LayerWriter, path: str, target: str, options: CopyOptions) -> None:
    """Write the archive's files below ``target``. Raises BuildError for names that climb out, ImageError for damage."""
    root = writer.directory(target, owner=options.owner)
    extraction = _Extraction(writer, root, options)
    tar = TarStream(ByteStream(_plain(path)), _ignore)
    for entry in tar:
        extraction.one(entry, tar)
    extraction.finish()


def _ignore(_data: bytes) -> None:
    return


class _Extraction:
    def __init__(self, writer: LayerWriter, root: str, options: CopyOptions) -> None:
        self._writer = writer
        self._root = root
        self._options = options
        self._directories: list[tuple[str, Entry]] = []

    def one(self, entry: Entry, tar: TarStream) -> None:
        """Write one member."""
        relative = _relative(entry.name)
        if not relative:
            return
        head, _, name = relative.rpartition("/")
        parent = self._writer.directory(_join(self._root, head), owner=self._options.owner)
        place = _join(parent, name)
        if self._options.excluded is not None and self._options.excluded(relative):
            return
        self._replace(place, directory=entry.kind == b"5")
        if entry.kind == b"5":
            self._directories.append((self._writer.directory(place), entry))
            return
        self._make(place, entry, tar)
        if entry.kind != b"1":
            self._metadata(place, entry)

    def finish(self) -> None:
        """Attributes of directories, the deepest first: writing into them changed their times."""
        for name, entry in sorted(self._directories, key=lambda d: -d[0].count("/")):
            self._metadata(name, entry)

    def _replace(self, place: str, *, directory: bool) -> None:
        found = self._writer.existing(place)
        if found is None or (directory and found.is_directory):
            return
        if found.is_directory:
            raise BuildError(f"the archive puts a file in place of the directory /{place}")
        self._writer.make_way(place)
        if directory and self._writer.existing(place) is not None:
            self._writer.replace_by_directory(place)

    def _make(self, place: str, entry: Entry, tar: TarStream) -> None:
        path = self._writer.host(place)
        match entry.kind:
            case b"0":
                self._writer.pieces(place, tar.body())
            case b"1":
                source = self._writer.host(_join(self._root, _relative(entry.link)))
                if not os.path.lexists(source):
                    raise BuildError(f"the archive links {entry.shown()} to what it does not hold")
                os.link(source, path, follow_symlinks=False)
            case b"2":
                os.symlink(os.fsdecode(entry.link), path)
            case b"6":
                os.mkfifo(path)
            case _:
                kind = stat.S_IFCHR if entry.kind == b"3" else stat.S_IFBLK
                os.mknod(path, kind | 0o600, os.makedev(*entry.device))

    def _metadata(self, place: str, entry: Entry) -> None:
        path = self._writer.host(place)
        os.chown(path, *(self._options.owner or (entry.uid, entry.gid)), follow_symlinks=False)
        if entry.kind != b"2":
            os.chmod(path, entry.mode)
        for key, value in entry.xattrs:
            if not key.startswith(b"trusted."):
                os.setxattr(path, key, value, follow_symlinks=False)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _plain(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        head = file.read(8)
        file.seek(0)
        chunks = iter(lambda: file.read(_CHUNK), b"")
        if head.startswith(_BZIP2):
            import bz2

            yield from _unpacked(bz2.BZ2Decompressor, chunks)
        elif head.startswith(_XZ):
            import lzma

            yield from _unpacked(lzma.LZMADecompressor, chunks)
        elif kind_of(head):
            yield from decompressed(chunks)
        else:
            yield from chunks


def _unpacked(factory: type, chunks: Iterable[bytes]) -> Iterator[bytes]:
    machine = factory()
    for chunk in chunks:
        data = chunk
        while data:
            if machine.eof:
                machine = factory()
            try:
                output: bytes = machine.decompress(data)
            except Exception as error:  # OSError (bz2), LZMAError
                raise ImageError(f"the archive is damaged: {error}") from None
            data = machine.unused_data if machine.eof else b""
            if output:
                yield output


def _checksum(block: bytes) -> bool:
    try:
        wanted = int(block[148:156].rstrip(b"\0 ").decode() or "x", 8)
    except ValueError:
        return False
    return wanted == sum(block[:148]) + 8 * 32 + sum(block[156:])


def _relative(name: bytes) -> str:
    parts = [part for part in os.fsdecode(name).split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BuildError(f"the archive holds {os.fsdecode(name)!r}, which climbs out", hint="this archive is malformed or hostile")
    return "/".join(parts)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory and name else directory or name
