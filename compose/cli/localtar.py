"""Tar streams on the user's side of ``cp``: written from local files, unpacked beside the traps a container could lay. In the command's process.

What comes out of a container is not trusted: nothing is written through a symbolic link, above the destination, or as a device.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import BinaryIO

from compose.errors import ComposeError


def write(source: str, name: str, file: BinaryIO, *, follow: bool) -> None:
    """Write a local file or directory as a tar stream whose entries begin with ``name``; ``follow`` resolves ``source`` when it is a link."""
    path = os.path.realpath(source) if follow else source
    with tarfile.open(fileobj=file, mode="w|") as archive:
        archive.add(path, arcname=name)


def unpack(file: BinaryIO, directory: str, name: str, *, keep_owner: bool) -> None:
    """Unpack a tar stream into ``directory``; the first part of every entry becomes ``name`` ("." puts them there directly)."""
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            target = _place(directory, name, member.name)
            _make(archive, member, target, _place(directory, name, member.linkname) if member.islnk() else "")
            if keep_owner:
                os.lchown(target, member.uid, member.gid)


def _place(directory: str, name: str, entry: str) -> str:
    """Where an entry goes. Raises ComposeError when that would be elsewhere."""
    _, _, rest = entry.strip("/").partition("/")
    parts = [p for p in (*name.split("/"), *rest.split("/")) if p not in ("", ".")]
    if ".." in parts:
        raise ComposeError(f"refusing to unpack {entry!r}: it leads out of {directory}")
    place = directory
    for part in parts[:-1]:
        place = os.path.join(place, part)
        if os.path.islink(place):
            raise ComposeError(f"refusing to unpack {entry!r}: {place} is a symbolic link")
    return os.path.join(place, *parts[-1:])


def _make(archive: tarfile.TarFile, member: tarfile.TarInfo, target: str, link: str) -> None:
    mode = member.mode & 0o777
    if member.isdir():
        if os.path.islink(target):
            os.unlink(target)
        os.makedirs(target, exist_ok=True)
        os.chmod(target, mode | 0o700)
        return
    if os.path.lexists(target) and not (os.path.isdir(target) and not os.path.islink(target)):
        os.unlink(target)
    if member.issym():
        os.symlink(member.linkname, target)
    elif member.islnk():
        os.link(link, target, follow_symlinks=False)
    elif member.isfile():
        _make_file(archive, member, target, mode)


def _make_file(archive: tarfile.TarFile, member: tarfile.TarInfo, target: str, mode: int) -> None:
    content = archive.extractfile(member)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        if content is not None:
            shutil.copyfileobj(content, file)
        os.fchmod(file.fileno(), mode)
        os.utime(file.fileno(), (member.mtime, member.mtime))
