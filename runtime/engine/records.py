"""Records on disk of networks, volumes, leases and containers: written whole, claimed atomically. In the command's process.

A container directory appears complete (made aside, then renamed) and disappears at once (renamed aside, then deleted),
so a command killed at any moment leaves either a container or none.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from runtime import codec
from runtime.errors import Conflict, InUse, NotFound, RuntimeFailure
from runtime.spec import ContainerSpec, NetworkSpec, VolumeSpec
from runtime.store import Paths, entries, locked, read_file, remove_file, write_atomic, write_file
from runtime.trees import remove_tree

_ATTEMPTS = 3


def record_network(where: Paths, network: NetworkSpec) -> NetworkSpec:
    """Write the network's record unless it is there; returns the one in force. Raises Conflict when its subnet was taken meanwhile."""
    directory = f"{where.networks}/{network.name}"
    with locked(f"{where.networks}/.lock"):
        text = read_file(f"{directory}/network.json")
        if text is not None:
            return codec.loads(NetworkSpec, text)
        _refuse_overlap(where, network)
        with _appearing(directory) as fresh:
            os.makedirs(f"{fresh}/leases")
            write_atomic(f"{fresh}/created", str(time.time_ns()))
            write_atomic(f"{fresh}/network.json", codec.dumps(network))
    return network


def network(where: Paths, name: str) -> NetworkSpec:
    """The recorded network. Raises NotFound."""
    text = read_file(f"{where.networks}/{name}/network.json")
    if text is None:
        raise NotFound(f"network {name} not found")
    return codec.loads(NetworkSpec, text)


def refuse_used_network(where: Paths, name: str) -> None:
    """Raise InUse while a container has an address on the network; leases of containers that were never finished do not count."""
    leases = f"{where.networks}/{name}/leases"
    holders = {(read_file(f"{leases}/{a}") or b"").decode() for a in entries(leases)}
    users = sorted(h[:12] for h in holders if _exists(where, h))
    if users:
        raise InUse(f"network {name} has active endpoints: {', '.join(users)}")


def forget_network(where: Paths, name: str) -> None:
    """Delete the network's record; already gone is success."""
    with locked(f"{where.networks}/.lock"):
        delete_aside(f"{where.networks}/{name}", f"{where.networks}/.removing-{name}")


def claim_addresses(where: Paths, network_name: str, addresses: Iterable[str | None], owner: ContainerSpec) -> None:
    """Lease addresses to a container; repeated claims by the same owner succeed. Raises Conflict when another holds one."""
    for address in filter(None, addresses):
        holder = _claim(where, f"{where.networks}/{network_name}/leases/{address}", owner)
        if holder != owner.id:
            raise Conflict(f"address {address} on network {network_name} is already in use by container {holder[:12]}")


def _claim(where: Paths, path: str, owner: ContainerSpec) -> str:
    """Make ``path`` a file that holds the owner's id, unless somebody living holds it; returns the id of the holder, who may have been first.

    It is a link to a file in the owner's directory, so that it has its content from its first moment on.
    """
    holder = owner.id
    for _ in range(_ATTEMPTS):
        try:
            os.link(_identity(where, owner), path)
            return owner.id
        except FileExistsError:
            holder = (read_file(path) or b"").decode()
        if holder == owner.id or _exists(where, holder):
            break
        remove_file(path)  # its container was never finished, or is gone: a command was ended in between
    return holder


def _identity(where: Paths, owner: ContainerSpec) -> str:
    """A file with the container's id in it, in its directory, finished or not."""
    directory = where.container(owner.project, owner.id)
    path = f"{directory}/id" if os.path.exists(directory) else f"{directory}.new/id"
    if not os.path.exists(path):
        write_atomic(path, owner.id)
    return path


def _exists(where: Paths, container_id: str) -> bool:
    """Whether a container of any project is there, or just being made."""
    places = (where.container(p, container_id) for p in entries(where.projects)) if container_id else ()
    return any(os.path.exists(p) or os.path.exists(f"{p}.new") for p in places)


def release_addresses(where: Paths, network_name: str, addresses: Iterable[str | None], owner: str) -> None:
    """Give back those of the leases that ``owner`` holds."""
    for address in filter(None, addresses):
        path = f"{where.networks}/{network_name}/leases/{address}"
        if (read_file(path) or b"").decode() == owner:
            remove_file(path)


def record_volume(where: Paths, volume: VolumeSpec) -> str:
    """Make the volume unless it is there; returns its data directory."""
    directory = f"{where.volumes}/{volume.name}"
    with locked(f"{where.volumes}/.lock"):
        if read_file(f"{directory}/volume.json") is None:
            with _appearing(directory) as fresh:
                os.makedirs(f"{fresh}/_data")
                write_atomic(f"{fresh}/created", str(time.time_ns()))
                write_atomic(f"{fresh}/volume.json", codec.dumps(volume), durable=True)
    return f"{directory}/_data"


def volume(where: Paths, name: str) -> VolumeSpec:
    """The recorded volume. Raises NotFound."""
    text = read_file(f"{where.volumes}/{name}/volume.json")
    if text is None:
        raise NotFound(f"volume {name} not found")
    return codec.loads(VolumeSpec, text)


def delete_volume(where: Paths, name: str) -> None:
    """Delete a volume and its data; already gone is success. Raises InUse while a container mounts it."""
    users = [c.name for c in container_specs(where) if any(m.kind == "volume" and m.volume == name for m in c.mounts)]
    if users:
        raise InUse(f"volume {name} is in use by {', '.join(sorted(users))}")
    delete_aside(f"{where.volumes}/{name}", f"{where.volumes}/.removing-{name}")


def container_specs(where: Paths) -> Iterable[ContainerSpec]:
    """The specs of all containers of all projects."""
    for project in entries(where.projects):
        for container_id in entries(f"{where.projects}/{project}/containers"):
            text = read_file(f"{where.container(project, container_id)}/spec.json")
            if text is not None and len(container_id) == 64:
                yield codec.loads(ContainerSpec, text)


def locate(where: Paths, container_id: str) -> str:
    """The project of a container. Raises NotFound."""
    project = _project_of(where, container_id)
    if project is None:
        raise NotFound(f"no such container: {container_id[:12]}")
    return project


def _project_of(where: Paths, container_id: str) -> str | None:
    found = (p for p in entries(where.projects) if os.path.exists(f"{where.container(p, container_id)}/spec.json"))
    return next(found, None) if container_id else None


def spec(where: Paths, container_id: str) -> ContainerSpec:
    """The spec of a container of any project. Raises NotFound."""
    project = locate(where, container_id)
    text = read_file(f"{where.container(project, container_id)}/spec.json")
    if text is None:
        raise NotFound(f"no such container: {container_id[:12]}")
    return codec.loads(ContainerSpec, text)


def rewrite_spec(where: Paths, changed: ContainerSpec) -> None:
    """Replace a container's spec (rename, connect, disconnect)."""
    write_atomic(f"{where.container(changed.project, changed.id)}/spec.json", codec.dumps(changed))


def claim_name(where: Paths, name: str, owner: ContainerSpec) -> None:
    """Give a name to the container ``owner``, atomically; repeated claims succeed. Raises RuntimeFailure when a living container has it."""
    os.makedirs(f"{where.root}/names", exist_ok=True)
    holder = _claim(where, f"{where.root}/names/{name}", owner)
    if holder != owner.id:
        project = _project_of(where, holder) or "another project"
        raise RuntimeFailure(
            f'Conflict. The container name "/{name}" is already in use by container "{holder[:12]}" of project {project}.',
            hint=f"remove it first: pycompose -p {project} down",
        )


def release_name(where: Paths, name: str, owner: str) -> None:
    """Give a name back, if ``owner`` has it."""
    path = f"{where.root}/names/{name}"
    if (read_file(path) or b"").decode() == owner:
        remove_file(path)


def publish_container(directory: str, files: Mapping[str, str | bytes]) -> None:
    """Make a complete container directory of what was prepared in ``<directory>.new``: write ``files``, then rename."""
    for name, content in files.items():
        write_file(f"{directory}.new/{name}", content)
    os.rename(f"{directory}.new", directory)


@contextmanager
def _appearing(directory: str) -> Iterator[str]:
    """A place to prepare ``directory`` in; it appears whole, under its name, at the end. The caller holds the lock of the directory above."""
    parent = os.path.dirname(directory)
    _clear(parent)
    fresh = f"{parent}/.new-{os.path.basename(directory)}"
    os.makedirs(fresh)
    yield fresh
    os.rename(fresh, directory)


def clear_unfinished(parent: str) -> None:
    """Delete what ended commands left half-made or half-deleted of networks or volumes."""
    if _unfinished(parent):
        with locked(f"{parent}/.lock"):
            _clear(parent)


def _clear(parent: str) -> None:
    for name in _unfinished(parent):
        remove_tree(f"{parent}/{name}")


def _unfinished(parent: str) -> list[str]:
    return [n for n in entries(parent) if n.startswith((".new-", ".removing-"))]


def delete_aside(path: str, aside: str) -> None:
    """Delete a tree so that it is gone at once for whoever looks; already gone is success."""
    remove_tree(aside)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    remove_tree(aside)


def _refuse_overlap(where: Paths, wanted: NetworkSpec) -> None:
    mine = [ipaddress.ip_network(s.subnet) for s in wanted.subnets]
    for name in entries(where.networks):
        text = read_file(f"{where.networks}/{name}/network.json")
        for subnet in codec.loads(NetworkSpec, text).subnets if text else ():
            other = ipaddress.ip_network(subnet.subnet)
            if any(n.version == other.version and n.overlaps(other) for n in mine):
                raise Conflict(
                    f"network {wanted.name}: subnet {other} is already used by network {name}", hint="choose another ipam subnet"
                )
