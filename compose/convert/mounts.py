"""``volumes``, ``tmpfs``, ``volumes_from`` and the image's VOLUMEs → mounts; anonymous volumes keep their data by their target. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import cast

from compose.convert import names
from compose.errors import PlanError
from compose.model import Project, Service, ServiceVolume
from runtime.record import dataclass
from runtime.spec import BindMount, ImageMount, MountSpec, Propagation, TmpfsMount, VolumeMount

_RECURSIVE = ("enabled", "disabled", "writable", "readonly")
_SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What a container's mounts are decided with: where new anonymous volumes get their names, and which of the replaced container's live on."""

    seed: str
    anonymous: Mapping[str, str] = field(default_factory=dict)
    image_volumes: Sequence[str] = ()


def anonymous_volumes(mounts: Iterable[MountSpec]) -> dict[str, str]:
    """Target → name of the anonymous volumes among ``mounts``."""
    return {m.target: m.volume for m in mounts if isinstance(m, VolumeMount) and m.anonymous}


def mount_specs(project: Project, service: Service, inherited: Inherited) -> tuple[MountSpec, ...]:
    """The service's own ``volumes`` and ``tmpfs``."""
    found = [_mount(project, v, f"services.{service.name}.volumes[{i}]", inherited) for i, v in enumerate(service.volumes)]
    return (*found, *(_tmpfs(text, f"services.{service.name}.tmpfs[{i}]") for i, text in enumerate(service.tmpfs)))


def image_mounts(service: Service, inherited: Inherited, own: Iterable[MountSpec]) -> tuple[MountSpec, ...]:
    """Anonymous volumes for the image's VOLUMEs that nothing of ``own`` is mounted at."""
    covered = {posixpath.normpath(m.target) for m in own} if inherited.image_volumes else set()
    free = (t for t in inherited.image_volumes if posixpath.normpath(t) not in covered)
    return tuple(_anonymous(t, inherited, f"image of service {service.name}") for t in free)


def shared_mounts(donor: Iterable[MountSpec], own: Iterable[MountSpec], mode: str) -> tuple[MountSpec, ...]:
    """The mounts taken over from another container (``volumes_from``): binds and volumes whose target is still free; "ro" is honoured.

    An anonymous volume stays the lender's: it goes with the lender, not with who borrowed it.
    """
    covered = {m.target for m in own}
    lent = [m for m in donor if isinstance(m, (BindMount, VolumeMount)) and m.target not in covered]
    lent = [replace(m, anonymous=False) if isinstance(m, VolumeMount) else m for m in lent]
    return tuple(replace(m, read_only=True) for m in lent) if mode == "ro" else tuple(lent)


def _mount(project: Project, volume: ServiceVolume, origin: str, inherited: Inherited) -> MountSpec:
    match volume.type:
        case "bind":
            return _bind(project, volume, origin)
        case "volume":
            return _volume(project, volume, origin, inherited)
        case "tmpfs":
            return TmpfsMount(
                target=volume.target, size=volume.tmpfs_size, mode=volume.tmpfs_mode, read_only=volume.read_only, origin=origin
            )
        case "image":
            return ImageMount(image=volume.source, target=volume.target, subpath=volume.subpath, origin=origin)
        case _:
            raise PlanError(f"{origin}: type {volume.type!r} is not supported", hint="use bind, volume, tmpfs or image")


def _volume(project: Project, volume: ServiceVolume, origin: str, inherited: Inherited) -> VolumeMount:
    if volume.source:
        plain = VolumeMount(volume=names.volume_name(project, volume.source), target=volume.target, labels=volume.labels, origin=origin)
    else:
        plain = _anonymous(volume.target, inherited, origin)
        plain = replace(plain, labels={**volume.labels, **plain.labels})
    return replace(plain, read_only=volume.read_only, nocopy=volume.nocopy, subpath=volume.subpath)


def _bind(project: Project, volume: ServiceVolume, origin: str) -> BindMount:
    if volume.recursive and volume.recursive not in _RECURSIVE:
        raise PlanError(f"{origin}.bind.recursive: {volume.recursive!r} is not one of {', '.join(_RECURSIVE)}")
    return BindMount(
        source=_bind_source(project, volume.source),
        target=volume.target,
        read_only=volume.read_only,
        propagation=cast("Propagation", volume.propagation or "rprivate"),
        recursive=volume.recursive or "enabled",  # type: ignore[arg-type]
        create_source=volume.create_host_path,
        selinux=volume.selinux or None,  # type: ignore[arg-type]
        origin=origin,
    )


def _bind_source(project: Project, path: str) -> str:
    r"""The path on the host; with COMPOSE_CONVERT_WINDOWS_PATHS, ``C:\data`` is ``/c/data``."""
    drive = path[1:3] in (":\\", ":/") and path[0].isalpha()
    if not drive or project.environment.get("COMPOSE_CONVERT_WINDOWS_PATHS", "").lower() not in ("1", "t", "true", "y", "yes", "on"):
        return path
    return f"/{path[0].lower()}{path[2:]}".replace("\\", "/")


def _anonymous(target: str, inherited: Inherited, origin: str) -> VolumeMount:
    name = inherited.anonymous.get(target) or names.identity(inherited.seed, "volume", target)
    return VolumeMount(volume=name, target=target, anonymous=True, labels={names.ANONYMOUS: ""}, origin=origin)


def _tmpfs(text: str, origin: str) -> TmpfsMount:
    """One ``tmpfs`` entry, ``path[:options]``; options as in tmpfs(5)."""
    target, _, options = text.partition(":")
    rest, size, mode, read_only = [], None, None, False
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        match key:
            case "size":
                size = _size(value, origin)
            case "mode":
                mode = _octal(value, origin)
            case "ro":
                read_only = True
            case "rw":
                read_only = False
            case _:
                rest.append(option)
    return TmpfsMount(target=target, size=size, mode=mode, options=tuple(rest), read_only=read_only, origin=origin)


def _size(text: str, origin: str) -> int:
    lowered = text.lower().removesuffix("b")
    factor = _SIZES.get(lowered[-1:], 1)
    digits = lowered.rstrip("kmgt")
    if not digits.isdecimal():
        raise PlanError(f"{origin}: size {text!r} is not a size", hint="such as 64m")
    return int(digits) * factor


def _octal(text: str, origin: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise PlanError(f"{origin}: mode {text!r} is not an octal number", hint="such as 1777") from None
