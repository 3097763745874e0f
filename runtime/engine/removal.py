"""Removing containers from disk so that a command killed at any moment can be finished by the next one. In the command's process.

The directory is renamed aside first: from then on the container is gone. What it held (name, addresses, anonymous volumes) goes next, its files
last, since they say what it held.
"""

from __future__ import annotations

import contextlib
import os

from runtime import codec
from runtime.engine import records
from runtime.errors import InUse
from runtime.spec import ContainerSpec, VolumeMount
from runtime.store import Paths, entries, read_file, remove_file
from runtime.trees import remove_tree

_ASIDE = ".removing-"
_NEW = ".new"
_WITH_VOLUMES = "with-volumes"  # a file in the directory set aside: the anonymous volumes are to go, too


def remove(where: Paths, spec: ContainerSpec, *, volumes: bool) -> None:
    """Delete the container, made or half-made, and give back what it held; ``volumes`` deletes its anonymous ones. Already gone is success."""
    directory = where.container(spec.project, spec.id)
    aside = f"{os.path.dirname(directory)}/{_ASIDE}{spec.id}"
    if volumes and os.path.exists(directory):
        os.close(os.open(f"{directory}/{_WITH_VOLUMES}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with contextlib.suppress(FileNotFoundError):  # it was never finished
        os.rename(directory, aside)
    _give_back(where, spec, volumes=volumes)
    for path in (aside, f"{directory}{_NEW}", f"{where.project_run(spec.project)}/io/{spec.id}"):
        remove_tree(path)
    _delete_project_if_empty(where, spec.project)


def is_small(where: Paths, spec: ContainerSpec) -> bool:
    """Whether deleting the container is a matter of a few files: it wrote nothing into its own layer."""
    return not entries(f"{where.container(spec.project, spec.id)}/upper")


def sweep(where: Paths, project: str) -> None:
    """Finish what ended commands left half-made or half-removed; the caller holds the project's lock."""
    for parent in (where.networks, where.volumes):
        records.clear_unfinished(parent)
    directory = f"{where.project(project)}/containers"
    names = entries(directory)
    half_made = {n.removesuffix(_NEW) for n in names if n.endswith(_NEW)}
    half_removed = [n for n in names if n.startswith(_ASIDE)]
    for name in half_removed:
        text = read_file(f"{directory}/{name}/spec.json")
        if text is not None:
            volumes = os.path.exists(f"{directory}/{name}/{_WITH_VOLUMES}")
            _give_back(where, codec.loads(ContainerSpec, text), volumes=volumes)
        remove_tree(f"{directory}/{name}")
    if half_made:
        _give_back_all(where, half_made)
    for container_id in half_made:
        remove_tree(f"{directory}/{container_id}{_NEW}")
    _delete_project_if_empty(where, project)


def _give_back(where: Paths, spec: ContainerSpec, *, volumes: bool) -> None:
    # Late: it takes subprocess along, and there is seldom anything to give back.
    from runtime.engine import local_volumes

    for endpoint in spec.endpoints:
        records.release_addresses(where, endpoint.network, (endpoint.ipv4, endpoint.ipv6), spec.id)
    records.release_name(where, spec.name, spec.id)
    local_volumes.unmount_unused(where, spec)
    for mount in spec.mounts:
        if volumes and isinstance(mount, VolumeMount) and mount.anonymous:
            try:
                records.delete_volume(where, mount.volume)
            except InUse:  # another container has taken it over
                continue


def _give_back_all(where: Paths, owners: set[str]) -> None:
    """Release names and leases by their owners' ids alone: of a half-made container nothing else may be known."""
    directories = [f"{where.root}/names", *(f"{where.networks}/{n}/leases" for n in entries(where.networks))]
    for path in (f"{d}/{name}" for d in directories for name in entries(d)):
        if (read_file(path) or b"").decode() in owners:
            remove_file(path)


def _delete_project_if_empty(where: Paths, project: str) -> None:
    """By rmdir(2), which knows better than a look beforehand: another container may be made this very moment."""
    directory = where.project(project)
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(f"{directory}/containers")
        for name in entries(directory):
            remove_file(f"{directory}/{name}")
        os.rmdir(directory)
