"""Mounts as a launch does them: a container's mount specs resolved to sources on the host, parents before children. Pure, in every process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar, assert_never

from runtime.errors import RuntimeFailure
from runtime.record import dataclass
from runtime.spec import BindMount, ContainerSpec, FileMount, ImageMount, MountSpec, Propagation, TmpfsMount, VolumeMount


@dataclass(frozen=True, slots=True, kw_only=True)
class BindEntry:
    """``source`` (with ``subpath`` looked up inside it) at ``target``; an ``optional`` one is left out when its source is missing."""

    kind: Literal["bind"] = "bind"
    source: str
    target: str
    subpath: str = ""
    read_only: bool = False
    recursive: Literal["enabled", "disabled", "writable", "readonly"] = "enabled"
    propagation: Propagation = "rprivate"
    create_source: bool = False
    optional: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsEntry:
    """A tmpfs at ``target``; ``options`` as in mount(8), the later one wins."""

    kind: Literal["tmpfs"] = "tmpfs"
    target: str
    options: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersEntry:
    """The content of an image (its layers, lowest first), read-only, at ``target``."""

    kind: Literal["layers"] = "layers"
    lowers: tuple[str, ...]
    target: str
    subpath: str = ""
    origin: str = ""


T = TypeVar("T")
MountEntry = BindEntry | TmpfsEntry | LayersEntry

_ETC_FILES = ("resolv.conf", "hostname", "hosts")


def entries(
    spec: ContainerSpec, container_dir: str, volumes: Mapping[str, str], images: Mapping[str, Sequence[str]]
) -> tuple[MountEntry, ...]:
    """All mounts of a container, by depth of target; a mount of the user's on /etc/hosts and the like takes the place of ours."""
    prepared = {id(m): f"{container_dir}/files/mounts/{i:03d}" for i, m in enumerate(m for m in spec.mounts if isinstance(m, FileMount))}
    wanted = [_entry(m, prepared.get(id(m), ""), volumes, images) for m in spec.mounts]
    taken = {_normal(e.target) for e in wanted}
    own = [_etc_file(container_dir, n, spec.read_only) for n in _ETC_FILES if f"/etc/{n}" not in taken]
    return tuple(sorted([*own, *wanted], key=lambda e: _normal(e.target).count("/")))


def _etc_file(container_dir: str, name: str, read_only: bool) -> BindEntry:
    return BindEntry(source=f"{container_dir}/files/{name}", target=f"/etc/{name}", read_only=read_only, optional=True)


def _normal(target: str) -> str:
    return "/" + "/".join(p for p in target.split("/") if p not in ("", "."))


def _entry(mount: MountSpec, file: str, volumes: Mapping[str, str], images: Mapping[str, Sequence[str]]) -> MountEntry:
    match mount:
        case BindMount():
            return BindEntry(
                source=mount.source,
                target=mount.target,
                read_only=mount.read_only,
                recursive=mount.recursive,
                propagation=mount.propagation,
                create_source=mount.create_source,
                origin=mount.origin,
            )
        case VolumeMount():
            source = _known(volumes, mount.volume, "volume", mount.origin)
            return BindEntry(source=source, target=mount.target, subpath=mount.subpath, read_only=mount.read_only, origin=mount.origin)
        case TmpfsMount():
            return TmpfsEntry(target=mount.target, options=_tmpfs_options(mount), origin=mount.origin)
        case ImageMount():
            lowers = _known(images, mount.image, "image", mount.origin)
            return LayersEntry(lowers=tuple(lowers), target=mount.target, subpath=mount.subpath, origin=mount.origin)
        case FileMount():
            return BindEntry(source=file, target=mount.target, read_only=True, origin=mount.origin)
        case _:
            assert_never(mount)


def _known(table: Mapping[str, T], key: str, what: str, origin: str) -> T:
    if key not in table:
        raise RuntimeFailure(f"{origin or what}: no such {what}: {key}")
    return table[key]


def _tmpfs_options(mount: TmpfsMount) -> tuple[str, ...]:
    """Docker's defaults (noexec, nosuid, nodev), then what was asked for."""
    options = ["noexec", "nosuid", "nodev"]
    options += [f"size={mount.size}"] if mount.size else []
    options += [f"mode={mount.mode:o}"] if mount.mode is not None else []
    options += mount.options
    return tuple([*options, "ro"] if mount.read_only else options)
