"""The build context: a directory as it is; a tar archive, a git repository or a URL brought into one. In worker threads of the command's process."""

from __future__ import annotations

import hashlib
import os
import shutil

from runtime.build import fetching, git
from runtime.build.contents import file_digest
from runtime.build.copying import CopyOptions
from runtime.build.request import BuildRequest
from runtime.build.syntax import Source, parse
from runtime.build.unpacking import is_archive, unpack
from runtime.build.writer import LayerWriter
from runtime.errors import BuildError
from runtime.record import dataclass
from runtime.store import read_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A context on disk: its directory ("" for none), the Dockerfile's path (None for inline text) and content."""

    directory: str
    dockerfile: str | None
    text: str

    def source(self) -> Source:
        """The parsed Dockerfile. Raises BuildError."""
        return parse(self.text, os.path.basename(self.dockerfile) if self.dockerfile else "Dockerfile")


def load(request: BuildRequest, cache: str) -> Context:
    """The context and Dockerfile of a request. Raises BuildError that names what is missing."""
    if fetching.is_url(request.context) and git.parse(request.context) is None:
        return _remote(request, cache)
    directory = fetch(request.context, cache) if request.context else ""
    if request.dockerfile_text is not None:
        return Context(directory=directory, dockerfile=None, text=request.dockerfile_text)
    path = os.path.join(directory, request.dockerfile)
    return Context(directory=directory, dockerfile=path, text=_read(path, directory, request.dockerfile))


def fetch(context: str, cache: str) -> str:
    """The directory of a context. Raises BuildError."""
    repository = git.parse(context)
    if repository is not None:
        return git.checkout(repository, cache).directory
    if fetching.is_url(context):
        return _unpacked(fetching.fetch(context, cache).path, cache)
    directory = os.path.abspath(context)
    if os.path.isdir(directory):
        return directory
    if os.path.isfile(directory) and is_archive(directory):
        return _unpacked(directory, cache)
    raise BuildError(f"unable to prepare context: path {context!r} not found", hint="a context is a directory, a tar archive or a git URL")


def _remote(request: BuildRequest, cache: str) -> Context:
    """A URL that is no repository: an archive is the context, a text is the Dockerfile of an empty one (docker build's rule)."""
    found = fetching.fetch(request.context, cache)
    if is_archive(found.path):
        directory = _unpacked(found.path, cache)
        path = os.path.join(directory, request.dockerfile)
        text = request.dockerfile_text
        return Context(directory=directory, dockerfile=path, text=_read(path, directory, request.dockerfile) if text is None else text)
    text = (read_file(found.path) or b"").decode("utf-8", "surrogateescape")
    return Context(directory="", dockerfile=None, text=text)


def _unpacked(archive: str, cache: str) -> str:
    home = f"{cache}/contexts/{file_digest(os.path.realpath(archive))[:32]}"
    if os.path.isdir(home):
        return home
    fresh = f"{home}.{os.getpid()}-{hashlib.sha256(os.urandom(8)).hexdigest()[:8]}"
    os.makedirs(fresh, mode=0o700)
    try:
        unpack(LayerWriter(fresh, ()), archive, "/", CopyOptions(owner=(0, 0)))
        os.rename(fresh, home)
    except FileExistsError:  # somebody else was first
        pass
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return home


def _read(path: str, directory: str, name: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise BuildError(f"failed to read dockerfile: open {path}: {error.strerror}", hint=_nearby(directory, name)) from None


def _nearby(directory: str, name: str) -> str | None:
    import difflib

    try:
        near = difflib.get_close_matches(name, os.listdir(directory or "."), 1)
    except OSError:
        return None
    return f"did you mean {near[0]}?" if near else "build.dockerfile is relative to build.context"
