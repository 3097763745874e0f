"""What a Dockerfile can say: one frozen type per instruction, flags decoded, variables not yet replaced. Pure data."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from runtime.build.syntax import Heredoc, Place
from runtime.record import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """FROM: ``image`` is a reference, a stage's name or "scratch"."""

    place: Place
    image: str
    platform: str = ""
    alias: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    """ARG: names with their defaults; None is "no default"."""

    place: Place
    values: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """ENV."""

    place: Place
    values: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """LABEL."""

    place: Place
    values: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMount:
    """``RUN --mount``; ``origin`` is its ``from``. ``size`` in bytes, ``mode`` None takes the type's default; ids None are 0."""

    kind: Literal["bind", "cache", "tmpfs", "secret", "ssh"] = "bind"
    target: str = ""
    source: str = ""
    origin: str = ""
    id: str = ""
    read_only: bool | None = None
    sharing: Literal["shared", "private", "locked"] = "shared"
    required: bool = False
    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """RUN. ``arguments`` is one shell line, or an argv when not ``shell``; ``network`` "", "default", "none" or "host".

    ``mounts`` are the values of ``--mount`` as written: variables are replaced field by field when the step runs (``flags.mount``).
    """

    place: Place
    arguments: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()
    network: str = ""
    security: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """COPY and ADD (``add``). ``origin`` is ``--from``; ``sources`` may be here-documents' markers, whose content is in ``heredocs``."""

    place: Place
    sources: tuple[str, ...]
    target: str
    add: bool = False
    origin: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir:
    """WORKDIR."""

    place: Place
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """USER."""

    place: Place
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose:
    """EXPOSE: ports, ranges and protocols as written."""

    place: Place
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePaths:
    """VOLUME."""

    place: Place
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """CMD and ENTRYPOINT; ``shell`` is the form that the image's shell runs."""

    place: Place
    entrypoint: bool
    arguments: tuple[str, ...]
    shell: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """HEALTHCHECK. ``test`` is ("NONE",), ("CMD", …) or ("CMD-SHELL", line); durations in nanoseconds, 0 is unset."""

    place: Place
    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal:
    """STOPSIGNAL."""

    place: Place
    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """SHELL."""

    place: Place
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBuild:
    """ONBUILD: the trigger's text, run by whoever builds from this image."""

    place: Place
    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer:
    """MAINTAINER (deprecated)."""

    place: Place
    name: str


Instruction = (
    Arg
    | Env
    | Label
    | Run
    | Copy
    | Workdir
    | User
    | Expose
    | VolumePaths
    | Command
    | Healthcheck
    | StopSignal
    | Shell
    | OnBuild
    | Maintainer
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One build stage: ``name`` is its alias in lower case or ""; ``number`` its place in the file, from 0."""

    number: int
    base: From
    name: str = ""
    instructions: tuple[Instruction, ...] = ()

    @property
    def title(self) -> str:
        """The name that progress shows."""
        return self.name or f"stage-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A whole Dockerfile: ARGs before the first FROM, and the stages in order."""

    arguments: tuple[Arg, ...] = ()
    stages: tuple[Stage, ...] = field(default=())
