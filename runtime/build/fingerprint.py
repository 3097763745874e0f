"""What names the content of files: names, kinds, modes, owners, links, extended attributes and bytes, but no times. Only reads."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable

from runtime.build.contents import Contents
from runtime.build.view import Node, View

_CAPABILITY = "security.capability"

Hidden = Callable[[str], bool]


def fingerprint(view: View, node: Node, contents: Contents, *, excluded: Hidden | None = None, inside: bool = False) -> str:
    """The digest (hex) of one file, or of a directory with all it holds. ``excluded`` leaves out names relative to ``node``.

    ``inside`` leaves out a directory's own attributes: a COPY of it takes what is in it.
    """
    digest = hashlib.sha256()
    links: dict[tuple[int, int], str] = {}

    def add(found: Node, name: str) -> None:
        if name or not (inside and found.is_directory):
            digest.update(_line(view, found, name, contents, links).encode("utf-8", "surrogateescape"))
        if found.is_directory:
            for child in view.children(found):
                below = f"{name}/{child.name.rpartition('/')[2]}" if name else child.name.rpartition("/")[2]
                if excluded is None or not excluded(below):
                    add(child, below)

    add(node, "")
    return digest.hexdigest()


def attributes(path: str | int) -> list[tuple[str, bytes]]:
    """The extended attributes that travel with a file (a path or descriptor): its capabilities. Layers keep no others, as Docker's keep none."""
    try:
        return [(_CAPABILITY, os.getxattr(path, _CAPABILITY, follow_symlinks=not isinstance(path, str)))]
    except OSError:
        return []


def _line(view: View, node: Node, name: str, contents: Contents, links: dict[tuple[int, int], str]) -> str:
    found = node.stat
    uid, gid = view.owner or (found.st_uid, found.st_gid)
    plain = found.st_mode & 0o170000 == stat.S_IFREG and found.st_nlink == 1
    body = contents.digest(node.path, found) if plain else _body(node, name, contents, links)
    xattrs = "".join([f"\0{key}={value.hex()}" for key, value in attributes(node.path)]) if view.attributed else ""
    return f"{name}\0{found.st_mode:o}\0{uid}:{gid}\0{body}{xattrs}\n"


def _body(node: Node, name: str, contents: Contents, links: dict[tuple[int, int], str]) -> str:
    found = node.stat
    if node.is_link:
        return f"->{os.readlink(node.path)}"
    if stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
        return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    if not node.is_file:
        return ""
    if found.st_nlink > 1:
        first = links.setdefault((found.st_dev, found.st_ino), name)
        if first != name:
            return f"={first}"
    return contents.digest(node.path, found)
