"""``configs`` and ``secrets`` → mounts. Pure, so contents must be in the model.

A ``file:`` source is a read-only bind mount of that file, as in Docker Compose; when uid, gid or mode are asked for and the loader put the
content into ``FileSource.content``, it becomes a copy with that owner and mode. ``content`` and ``environment`` sources are always copies.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from compose.errors import PlanError
from compose.model import FileSource, Project, Service, ServiceFile
from runtime.spec import BindMount, FileMount, MountSpec

_SECRETS = "/run/secrets/"


def file_mounts(project: Project, service: Service, warnings: list[str]) -> tuple[MountSpec, ...]:
    """The service's configs, then its secrets."""
    configs = _mounts(project.configs, service.configs, "config", service, warnings)
    return (*configs, *_mounts(project.secrets, service.secrets, "secret", service, warnings))


def _mounts(
    sources: Mapping[str, FileSource], uses: tuple[ServiceFile, ...], kind: str, service: Service, warnings: list[str]
) -> list[MountSpec]:
    found = []
    for index, use in enumerate(uses):
        origin = f"services.{service.name}.{kind}s[{index}]"
        source = sources.get(use.source)
        if source is None:
            raise PlanError(f'service "{service.name}" refers to undefined {kind} {use.source}')
        found.append(_mount(source, use, kind, origin, warnings))
    return found


def _mount(source: FileSource, use: ServiceFile, kind: str, origin: str, warnings: list[str]) -> MountSpec:
    if source.external:
        raise PlanError(f"{origin}: unsupported external {kind} {source.key}", hint="use file, environment or content")
    target = _target(use, kind, origin)
    owned = bool(use.uid or use.gid or use.mode is not None)
    if source.file and not (owned and source.content is not None):
        if owned:
            warnings.append(f"{origin}: uid, gid and mode are those of {source.file}: it is mounted, not copied")
        return BindMount(source=source.file, target=target, read_only=True, origin=origin)
    if source.content is None:
        raise PlanError(f'environment variable "{source.environment}" required by {kind} "{source.key}" is not set')
    return FileMount(
        target=target,
        content=b64encode(source.content.encode("utf-8", "surrogateescape")).decode(),
        uid=use.uid or "0",
        gid=use.gid or "0",
        mode=0o444 if use.mode is None else use.mode,
        secret=kind == "secret",
        origin=origin,
    )


def _target(use: ServiceFile, kind: str, origin: str) -> str:
    if kind == "secret":
        return use.target if use.target.startswith("/") else f"{_SECRETS}{use.target or use.source}"
    if use.target and not use.target.startswith("/"):
        raise PlanError(f"{origin}: invalid config target {use.target!r}", hint="it must be an absolute path")
    return use.target or f"/{use.source}"
