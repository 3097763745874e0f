"""The phase that makes relative paths absolute, in one canonical tree, from one directory. Reads symbolic links of watched paths only."""

from __future__ import annotations

import os.path
from collections.abc import Callable

from compose.schema.tree import Map, Seq, Value

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/", "docker-image://", "oci-layout://", "target:", "service:")


class Paths:
    """Makes paths absolute from ``directory`` (``keep`` leaves the directory relative, for ``--no-path-resolution`` of extended files)."""

    def __init__(self, directory: str, home: str) -> None:
        self.directory = directory
        self.home = home

    def absolute(self, path: str) -> str:
        """One path; ``~`` is the home directory."""
        if path[:1] == "~":
            return os.path.normpath(self.home + "/" + path[1:])
        if path[:1] == "/":
            return path
        return os.path.normpath(os.path.join(self.directory, path))

    def context(self, path: str) -> str:
        """A build context: addresses stay."""
        if not path or "://" in path or path.startswith(_REMOTE):
            return path
        return self.absolute(path)

    def file(self, path: str) -> str:
        """A path that may be one of Windows."""
        if _is_windows(path):
            return path
        return self.absolute(path)

    def project(self, tree: Map) -> None:
        """Every path of a tree."""
        services = tree.get("services")
        if isinstance(services, Map):
            for service in services.values():
                if isinstance(service, Map):
                    self.service(service)
        for section in ("configs", "secrets"):
            for item in _maps(tree.get(section)):
                self.change(item, "file", self.file)
        for item in _maps(tree.get("volumes")):
            options = item.get("driver_opts")
            if isinstance(options, Map) and item.get("driver") == "local" and options.get("o") == "bind":
                self.change(options, "device", self.file)

    def service(self, service: Map) -> None:
        """Every path of one service."""
        build = service.get("build")
        if isinstance(build, Map):
            self.change(build, "context", self.context)
            for name, change in (("additional_contexts", self.context), ("ssh", self.file)):
                entries = build.get(name)
                if isinstance(entries, Map):
                    for key in entries:
                        self.change(entries, key, change)
        for item in _maps(service.get("env_file")):
            self.change(item, "path", self.absolute)
        labels = service.get("label_file")
        if isinstance(labels, Seq):
            labels[:] = [self.absolute(v) if isinstance(v, str) else v for v in labels]
        develop = service.get("develop")
        if isinstance(develop, Map):
            for item in _maps(develop.get("watch")):
                self.change(item, "path", lambda path: os.path.realpath(self.absolute(path)))
        for item in _maps(service.get("volumes")):
            if item.get("type") == "bind":
                self.change(item, "source", self.file)

    def change(self, holder: Map, key: str, how: Callable[[str], str]) -> None:
        """Put the path at ``key`` through ``how``."""
        value = holder.get(key)
        if type(value) is str:
            holder[key] = how(value)


def is_remote(path: str) -> bool:
    """Whether a file to include or extend lies behind an address (which is not fetched)."""
    return "://" in path or path.startswith(("git@", "github.com/"))


def fetching(address: str) -> str:
    """How to get at what lies behind an address, as a hint."""
    if address.startswith("oci://"):
        return "save the file here and name its path"
    repository, _, rest = address.partition("#")
    below = rest.partition(":")[2].strip("/")
    name = repository.rstrip("/").rpartition("/")[2].removesuffix(".git") or "repository"
    branch = f" -b {ref}" if (ref := rest.partition(":")[0]) else ""
    path = "/".join(part for part in (".", name, below, "compose.yaml") if part)
    return f"fetch it once, such as: git clone{branch} {repository}, and name its file: {path}"


def _maps(value: Value) -> list[Map]:
    items = value.values() if isinstance(value, Map) else value if isinstance(value, Seq) else ()
    return [item for item in items if isinstance(item, Map)]


def _is_windows(path: str) -> bool:
    return path[:2] == "\\\\" or (path[1:3] in (":\\", ":/") and path[0].isalpha())
