"""Image references: the grammar of distribution/reference and Docker's defaults (docker.io, library/, latest). Pure."""

from __future__ import annotations

import re

from runtime.errors import ImageError
from runtime.record import dataclass

DEFAULT_REGISTRY = "docker.io"
_LEGACY_REGISTRY = "index.docker.io"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_HINT = "a reference is [registry[:port]/]name[:tag][@sha256:digest], the name in lower case"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A parsed reference: ``docker.io``, ``library/busybox``, tag and digest (either may be "")."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository: ``docker.io/library/busybox``."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """The name as Docker shows it: ``busybox``, ``user/app``, ``registry.example/app``."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        return self.repository.removeprefix("library/") if self.repository.count("/") == 1 else self.repository

    @property
    def canonical(self) -> str:
        """The full form; the key of the store's catalog."""
        return f"{self.name}{self._suffix}"

    @property
    def familiar(self) -> str:
        """The short form with tag and digest: ``busybox:latest``."""
        return f"{self.familiar_name}{self._suffix}"

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest when there is one, else the tag."""
        return self.digest or self.tag

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.familiar


def parse(text: str) -> Reference:
    """The reference with Docker's defaults filled in: no registry is docker.io, neither tag nor digest is ``latest``. Raises ImageError."""
    rest, digest = _split_digest(text)
    name, tag = _split_tag(rest)
    registry, repository = _split_registry(name)
    _check(text, registry, repository, tag)
    return Reference(registry=registry, repository=repository, tag=tag or ("" if digest else "latest"), digest=digest)


def _split_digest(text: str) -> tuple[str, str]:
    name, at, digest = text.partition("@")
    if at and _DIGEST.fullmatch(digest) is None:
        raise ImageError(f"invalid reference {text!r}: {digest!r} is not a digest", hint=_HINT)
    return name, digest


def _split_tag(text: str) -> tuple[str, str]:
    head, colon, tail = text.rpartition(":")
    if not colon or "/" in tail:
        return text, ""
    if _TAG.fullmatch(tail) is None:
        raise ImageError(f"invalid reference {text!r}: {tail!r} is not a tag", hint="a tag is up to 128 letters, digits, '_', '.' and '-'")
    return head, tail


def _split_registry(name: str) -> tuple[str, str]:
    head, slash, tail = name.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost" or head != head.lower()):
        registry, repository = DEFAULT_REGISTRY, name
    else:
        registry, repository = (DEFAULT_REGISTRY if head == _LEGACY_REGISTRY else head), tail
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _check(text: str, registry: str, repository: str, tag: str) -> None:
    if _HOST.fullmatch(registry) is None:
        raise ImageError(f"invalid reference {text!r}: {registry!r} is not a registry's host", hint=_HINT)
    if _PATH.fullmatch(repository) is None:
        lower = repository.lower()
        near = f"; did you mean {lower.removeprefix('library/')!r}?" if _PATH.fullmatch(lower) else ""
        raise ImageError(f"invalid reference {text!r}: {repository.removeprefix('library/')!r} is not a repository name{near}", hint=_HINT)
    if len(repository) > 255:
        raise ImageError(f"invalid reference {text[:40]!r}…: the name is longer than 255 characters")
    if re.fullmatch(r"library/[0-9a-f]{64}", repository) and not tag:
        raise ImageError(f"invalid reference {text!r}: 64 hex digits are an image id, not a name")
