"""Records on disk of networks, volumes, leases and containers: written whole, claimed atomically. In the command's process.

A container directory appears complete (made aside, then renamed) and disappears at once (renamed aside, then deleted),
so a command killed at any moment leaves either a container or none.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import time
from collections.abc import Iterable, Mapping

from runtime import codec
from runtime.errors import Conflict, InUse, NotFound, RuntimeFailure
from runtime.spec import ContainerSpec, NetworkSpec, VolumeSpec
from runtime.store import Paths, entries, locked, read_file, remove_file, write_atomic

_ATTEMPTS = 3


def record_network(where: Paths, network: NetworkSpec) -> NetworkSpec:
    """Write the network's record unless it is there; returns the one in force. Raises Conflict when its subnet was taken meanwhile."""
    directory = f"{where.networks}/{network.name}"
    with locked(f"{where.networks}/.lock"):
        text = read_file(f"{directory}/network.json")
        if text is not None:
            return codec.loads(NetworkSpec, text)
        _refuse_overlap(where, network)
        os.makedirs(f"{directory}/leases", exist_ok=True)
        write_atomic(f"{directory}/created", str(time.time_ns()))
        write_atomic(f"{directory}/network.json", codec.dumps(network))
    return network


def network(where: Paths, name: str) -> NetworkSpec:
    """The recorded network. Raises NotFound."""
    text = read_file(f"{where.networks}/{name}/network.json")
    if text is None:
        raise NotFound(f"network {name} not found")
    return codec.loads(NetworkSpec, text)


def refuse_used_network(where: Paths, name: str) -> None:
    """Raise InUse while a container has an address on the network."""
    leases = f"{where.networks}/{name}/leases"
    users = sorted({(read_file(f"{leases}/{a}") or b"").decode() for a in entries(leases)})
    if users:
        raise InUse(f"network {name} has active endpoints: {', '.join(u[:12] for u in users)}")


def forget_network(where: Paths, name: str) -> None:
    """Delete the network's record; already gone is success."""
    with locked(f"{where.networks}/.lock"):
        _delete_aside(f"{where.networks}/{name}", f"{where.networks}/.removing-{name}")


def claim_addresses(where: Paths, network_name: str, addresses: Iterable[str | None], owner: str) -> None:
    """Lease addresses to a container; repeated claims by the same owner succeed. Raises Conflict when another holds one."""
    directory = f"{where.networks}/{network_name}/leases"
    os.makedirs(directory, exist_ok=True)
    for address in filter(None, addresses):
        try:
            with open(f"{directory}/{address}", "x") as file:
                file.write(owner)
        except FileExistsError:
            holder = (read_file(f"{directory}/{address}") or b"").decode()
            if holder != owner:
                raise Conflict(f"address {address} on network {network_name} is already in use by container {holder[:12]}") from None


def release_addresses(where: Paths, network_name: str, owner: str) -> None:
    """Give back every lease that ``owner`` holds on the network."""
    directory = f"{where.networks}/{network_name}/leases"
    for address in entries(directory):
        if (read_file(f"{directory}/{address}") or b"").decode() == owner:
            remove_file(f"{directory}/{address}")


def record_volume(where: Paths, volume: VolumeSpec) -> str:
    """Make the volume unless it is there; returns its data directory."""
    directory = f"{where.volumes}/{volume.name}"
    with locked(f"{where.volumes}/.lock"):
        if read_file(f"{directory}/volume.json") is None:
            os.makedirs(f"{directory}/_data", exist_ok=True)
            write_atomic(f"{directory}/created", str(time.time_ns()))
            write_atomic(f"{directory}/volume.json", codec.dumps(volume), durable=True)
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
    _delete_aside(f"{where.volumes}/{name}", f"{where.volumes}/.removing-{name}")


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


def claim_name(where: Paths, name: str, owner: str) -> None:
    """Give a container's name to ``owner`` (its id), atomically; repeated claims succeed. Raises RuntimeFailure when a living container has it."""
    path = f"{where.root}/names/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for _ in range(_ATTEMPTS):
        try:
            with open(path, "x") as file:
                file.write(owner)
            return
        except FileExistsError:
            holder = (read_file(path) or b"").decode()
            if holder == owner:
                return
        project = _project_of(where, holder)
        if project is not None:
            raise RuntimeFailure(
                f'Conflict. The container name "/{name}" is already in use by container "{holder[:12]}" of project {project}.',
                hint=f"remove it first: pycompose -p {project} down",
            )
        remove_file(path)  # its container is gone: a command was ended between the two


def release_name(where: Paths, name: str, owner: str) -> None:
    """Give a name back, if ``owner`` has it."""
    path = f"{where.root}/names/{name}"
    if (read_file(path) or b"").decode() == owner:
        remove_file(path)


def publish_container(directory: str, files: Mapping[str, str | bytes]) -> None:
    """Make a complete container directory of what was prepared in ``<directory>.new``: write ``files``, then rename."""
    for name, content in files.items():
        with open(f"{directory}.new/{name}", "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
    os.rename(f"{directory}.new", directory)


def is_small(where: Paths, project: str, container_id: str) -> bool:
    """Whether deleting the container is a matter of a few files: it wrote nothing into its own layer."""
    return not entries(f"{where.container(project, container_id)}/upper")


def delete_container(where: Paths, project: str, container_id: str) -> None:
    """Delete a container's directory; already gone is success."""
    directory = where.container(project, container_id)
    _delete_aside(directory, f"{os.path.dirname(directory)}/.removing-{container_id}")
    shutil.rmtree(f"{directory}.new", ignore_errors=True)
    shutil.rmtree(f"{where.project_run(project)}/io/{container_id}", ignore_errors=True)


def delete_project_if_empty(where: Paths, project: str) -> None:
    """Delete what is left of a project that has no containers."""
    if not entries(f"{where.project(project)}/containers"):
        shutil.rmtree(where.project(project), ignore_errors=True)


def _delete_aside(path: str, aside: str) -> None:
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


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
