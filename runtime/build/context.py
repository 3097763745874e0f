"""The build context: a directory as it is, or a tar archive or git repository brought into one. In worker threads of the command's process."""

from __future__ import annotations

import os
from dataclasses import dataclass

from runtime.build.request import BuildRequest
from runtime.build.syntax import Source, parse
from runtime.errors import BuildError


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A context on disk: its directory ("" for none), the Dockerfile's path (None for inline text) and content."""

    directory: str
    dockerfile: str | None
    text: str

    def source(self) -> Source:
        """The parsed Dockerfile. Raises BuildError."""
        return parse(self.text, os.path.basename(self.dockerfile) if self.dockerfile else "Dockerfile")

    def fetch(self, context: str) -> str:
        """The directory of a further context. Raises BuildError."""
        if not os.path.isdir(context):
            raise BuildError(f"the context {context} is not a directory")
        return os.path.abspath(context)


def load(request: BuildRequest, cache: str) -> Context:
    """The context and Dockerfile of a request. Raises BuildError that names what is missing."""
    directory = os.path.abspath(request.context) if request.context else ""
    if directory and not os.path.isdir(directory):
        raise BuildError(f"unable to prepare context: path {request.context!r} not found", hint="build.context is a directory, a tar archive or a git URL")
    if request.dockerfile_text is not None:
        return Context(directory=directory, dockerfile=None, text=request.dockerfile_text)
    path = os.path.join(directory, request.dockerfile)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return Context(directory=directory, dockerfile=path, text=file.read())
    except OSError as error:
        raise BuildError(f"failed to read dockerfile: open {path}: {error.strerror}", hint=_nearby(directory, request.dockerfile)) from None


def _nearby(directory: str, name: str) -> str | None:
    import difflib

    try:
        near = difflib.get_close_matches(name, os.listdir(directory or "."), 1)
    except OSError:
        return None
    return f"did you mean {near[0]}?" if near else "build.dockerfile is relative to build.context"
