"""What is asked of a build. Frozen data, as the engine's door takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from runtime.record import dataclass
from runtime.spec import Ulimit


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSecret:
    """A secret for ``RUN --mount=type=secret,id=…``: a file on this host, or its content."""

    id: str
    file: str = ""
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One image to build.

    ``context`` is a directory, a tar archive, a git URL, or "" for none. ``dockerfile`` is relative to it or absolute; ``dockerfile_text`` takes its
    place. ``contexts`` are further ones by name: a path, ``docker-image://reference``, ``oci-layout://path``, a git URL. ``references`` are the names
    the image gets. ``secrets`` and ``ssh`` (id → agent socket or key file; "" is $SSH_AUTH_SOCK) reach RUN steps only, and so do ``proxies``.
    ``network`` is "", "default" or "host" (the host's), "none", or the path of a network namespace. ``trust_host_ca`` lets RUN steps trust the
    host's CA certificates and leaves nothing of them in the image. ``shm_size`` and ``memory`` (of each RUN step) in bytes.
    """

    context: str
    dockerfile: str = "Dockerfile"
    dockerfile_text: str | None = None
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[BuildSecret, ...] = ()
    ssh: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    platforms: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    privileged: bool = False
    entitlements: tuple[str, ...] = ()
    shm_size: int | None = None
    memory: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    trust_host_ca: bool = False
