"""Making, wiring and unmaking containers on disk and network, up to the point where the supervisor starts a process."""

from __future__ import annotations

import base64
import errno
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from anyio import to_thread

from runtime import codec, observe
from runtime.engine import files, local_volumes, mountpoints, records, removal, seeding
from runtime.errors import Conflict, ImageError, LaunchError, NotFound
from runtime.network import host, ipam
from runtime.network.elements import Link, Target
from runtime.spec import BindMount, ContainerSpec, EndpointSpec, FileMount, ImageConfig, ImageMount, NetworkSpec, VolumeMount, VolumeSpec
from runtime.store import Paths, read_file, renew_publication, write_file
from runtime.trees import remove_tree

if TYPE_CHECKING:
    from runtime.network.client import Networker

Network = Callable[[], Awaitable["Networker"]]


def create(where: Paths, spec: ContainerSpec) -> None:
    """Write the container's directory, complete or not at all; make and seed the volumes that it is the first to use."""
    directory = where.container(spec.project, spec.id)
    if os.path.exists(f"{directory}/spec.json"):
        return  # made by a command that was ended before it could say so
    _check_binds(spec)
    image, layers = _image(where, spec.image_id or _image_id(where, spec.image))
    remove_tree(f"{directory}.new")
    os.makedirs(f"{directory}.new/files")
    for name in ("upper", "work", "logs", *(["files/mounts"] if any(isinstance(m, FileMount) for m in spec.mounts) else [])):
        os.mkdir(f"{directory}.new/{name}")
    records.claim_name(where, spec.name, spec)
    _claim_addresses(where, spec)
    _write_files(where, spec, f"{directory}.new")
    volumes = {
        m.volume: local_volumes.data_directory(where, _volume_spec(where, spec, m)) for m in spec.mounts if isinstance(m, VolumeMount)
    }
    seeding.seed(spec, layers, volumes)
    contents = _bundle(where, spec, image, layers, directory, volumes)
    records.publish_container(
        directory,
        {"spec.json": codec.dumps(spec), "image.json": codec.dumps(image), "created": str(time.time_ns()), "bundle.json": contents},
    )


def _check_binds(spec: ContainerSpec) -> None:
    """Refuse now what the start would refuse: a bind source that is not there and not to be made. Nothing is made then."""
    for mount in spec.mounts:
        if isinstance(mount, BindMount) and not mount.create_source and not os.path.exists(mount.source):
            raise NotFound(
                f"{mount.origin or mount.target}: bind source path does not exist: {mount.source}",
                hint="create it, or use the short syntax (source:target), which makes a missing directory",
            )


async def attach(where: Paths, network: Network, spec: ContainerSpec) -> None:
    """Give the container its network namespace and interfaces, unless they are there already (a restart needs nothing)."""
    if spec.network_mode == "host" or spec.network_mode.startswith("container:"):
        return
    if _is_pinned(where.netns(spec.id)):
        return
    _claim_addresses(where, spec)
    wired = endpoints(where, spec)
    sysctls = {k: v for k, v in spec.sysctls.items() if k.startswith("net.")}
    await (await network()).attach(spec.id, where.netns(spec.id), wired, sysctls)


def _claim_addresses(where: Paths, spec: ContainerSpec) -> None:
    for endpoint in spec.endpoints:
        records.claim_addresses(where, endpoint.network, (endpoint.ipv4, endpoint.ipv6), spec)


async def publish(where: Paths, network: Network, spec: ContainerSpec) -> None:
    """Send the published host ports to the container's addresses."""
    chosen = ipam.gateway_endpoint(endpoints(where, spec), 4) or ipam.gateway_endpoint(endpoints(where, spec), 6) if spec.ports else None
    if chosen is not None:
        endpoint, recorded = chosen
        renew_publication(where.container(spec.project, spec.id))
        target = Target(endpoint.ipv4, endpoint.ipv6, recorded.bridge, recorded.host_binding_ipv4)
        await (await network()).publish(spec.id, spec.ports, target)


def with_other_ports(where: Paths, spec: ContainerSpec) -> ContainerSpec | None:
    """Choose other host ports, free at the moment, where any would do, and record them; None when all were asked for by number."""
    if not any(p.any_host_port for p in spec.ports):
        return None
    ports = tuple(replace(p, host_port=host.free_port(p.protocol)) if p.any_host_port else p for p in spec.ports)
    changed = replace(spec, ports=ports)
    records.rewrite_spec(where, changed)
    return changed


async def allow_links(where: Paths, network: Network, spec: ContainerSpec) -> None:
    """On networks whose containers may not talk (enable_icc=false), let this one reach the exposed ports of those it links to."""
    closed = {n.name: e for e, n in endpoints(where, spec) if not n.icc} if spec.links else {}
    if closed:
        await (await network()).allow(
            spec.id, [rule for name in {k.container for k in spec.links} for rule in _openings(where, closed, name)]
        )


def _openings(where: Paths, sources: Mapping[str, EndpointSpec], name: str) -> list[Link]:
    target = observe.find(name, where=where)
    if target is None:
        return []
    ports = [p.partition("/") for p in (*target.spec.expose, *target.image.exposed_ports)]
    return [
        Link(source, destination, protocol or "tcp", int(port))
        for endpoint in target.spec.endpoints
        if endpoint.network in sources
        for source, destination in ((sources[endpoint.network].ipv4, endpoint.ipv4), (sources[endpoint.network].ipv6, endpoint.ipv6))
        if source and destination
        for port, _, protocol in ports
        if port.isdigit()
    ]


async def unpublish(network: Network, spec: ContainerSpec) -> None:
    """Take the port rules away; the next start brings them back."""
    if spec.ports and spec.endpoints:
        await (await network()).unpublish(spec.id)


async def remove(where: Paths, network: Network, spec: ContainerSpec, *, volumes: bool) -> None:
    """Undo ``create`` and ``attach``, whatever of them was done; ``volumes`` deletes the anonymous ones too."""
    if spec.ports or os.path.exists(where.netns(spec.id)):
        await (await network()).remove_container(spec.id, rules=_may_have_rules(where, spec))
    _remove_cgroup(spec)
    if removal.is_small(where, spec) and not volumes:
        removal.remove(where, spec, volumes=volumes)
    else:
        await to_thread.run_sync(partial(removal.remove, where, spec, volumes=volumes))


def _may_have_rules(where: Paths, spec: ContainerSpec) -> bool:
    """Whether ``publish``, ``allow_links`` or ``attach`` may have put something into the firewall for the container."""
    try:
        return bool(spec.ports) or any(not recorded.icc for _, recorded in endpoints(where, spec))
    except NotFound:
        return True


def _remove_cgroup(spec: ContainerSpec) -> None:
    from runtime import bundle, cgroups

    cgroups.find(bundle.cgroup_path(spec)).remove()


def rename(where: Paths, container: str, name: str) -> None:
    """Give a container another name. Raises when it is taken."""
    spec = records.spec(where, container)
    records.claim_name(where, name, spec)
    records.rewrite_spec(where, replace(spec, name=name))
    if spec.name != name:
        records.release_name(where, spec.name, container)


async def connect(where: Paths, networker: Networker, container: str, endpoint: EndpointSpec) -> None:
    """Add an endpoint to a container's spec and namespace."""
    spec = records.spec(where, container)
    recorded = records.network(where, endpoint.network)
    records.claim_addresses(where, recorded.name, (endpoint.ipv4, endpoint.ipv6), spec)
    kept = tuple(e for e in spec.endpoints if e.network != endpoint.network)
    changed = replace(spec, endpoints=(*kept, endpoint))
    records.rewrite_spec(where, changed)
    _write_files(where, changed, where.container(spec.project, spec.id))
    if _is_pinned(where.netns(container)):
        await networker.attach(container, where.netns(container), endpoints(where, changed), {})


async def disconnect(where: Paths, networker: Networker, container: str, network: str) -> None:
    """Take an endpoint out of a container's spec and namespace; not connected is success."""
    spec = records.spec(where, container)
    if _is_pinned(where.netns(container)):
        await networker.detach(container, network)
    left = [e for e in spec.endpoints if e.network == network]
    records.release_addresses(where, network, [a for e in left for a in (e.ipv4, e.ipv6)], container)
    records.rewrite_spec(where, replace(spec, endpoints=tuple(e for e in spec.endpoints if e.network != network)))


def endpoints(where: Paths, spec: ContainerSpec) -> list[tuple[EndpointSpec, NetworkSpec]]:
    """The container's endpoints with their networks, in the order of its interfaces (priority, then as written)."""
    return [(e, records.network(where, e.network)) for e in ipam.ordered(spec.endpoints)]


def _bundle(
    where: Paths, spec: ContainerSpec, image: ImageConfig, layers: Sequence[str], directory: str, volumes: Mapping[str, str]
) -> str:
    from runtime import bundle

    images = {m.image: _image(where, _image_id(where, m.image))[1] for m in spec.mounts if isinstance(m, ImageMount)}
    if spec.network_mode.startswith("container:") and not spec.hostname:
        shared = read_file(f"{directory}.new/files/hostname") or b""  # its own name is the donor's, like the file
        spec = replace(spec, hostname=shared.decode().strip())
    return codec.dumps(bundle.resolve(spec, image, (mountpoints.layer(where), *layers), directory, where, volumes, images))


@lru_cache(maxsize=64)
def _image(where: Paths, image_id: str) -> tuple[ImageConfig, tuple[str, ...]]:
    """An image's configuration and layers, read once in a command: fifty containers may share it. Ids name content, so nothing goes stale."""
    from runtime.images import ImageStore

    store = ImageStore(where)
    return store.config(image_id), store.layers(image_id)


def _write_files(where: Paths, spec: ContainerSpec, directory: str) -> None:
    if spec.network_mode.startswith("container:"):
        _share_files(where, spec.network_mode.removeprefix("container:"), directory)
    else:
        wired = endpoints(where, spec)
        contents = {"hosts": files.hosts(spec), "hostname": f"{files.hostname(spec)}\n", "resolv.conf": files.resolv_conf(spec, wired)}
        for name, text in contents.items():
            # Written in place: a running container has these very files bound, and must see the change.
            write_file(f"{directory}/files/{name}", text)
    for index, mount in enumerate(m for m in spec.mounts if isinstance(m, FileMount)):
        with open(f"{directory}/files/mounts/{index:03d}", "wb") as file:
            file.write(base64.b64decode(mount.content))
            os.fchmod(file.fileno(), mount.mode)
            if mount.uid.isdigit() and mount.gid.isdigit():
                os.fchown(file.fileno(), int(mount.uid), int(mount.gid))


def _share_files(where: Paths, donor: str, directory: str) -> None:
    """A container that joins another's network sees the donor's very files (hard links), as with Docker."""
    source = where.container(records.locate(where, donor), donor)
    for name in ("hosts", "hostname", "resolv.conf"):
        target = f"{directory}/files/{name}"
        if not os.path.exists(target):
            os.link(f"{source}/files/{name}", target)


def _volume_spec(where: Paths, spec: ContainerSpec, mount: VolumeMount) -> VolumeSpec:
    text = read_file(f"{where.volumes}/{mount.volume}/volume.json")
    if text is not None:
        return codec.loads(VolumeSpec, text)
    if not mount.anonymous:
        raise Conflict(f"volume {mount.volume} was removed meanwhile")
    return VolumeSpec(name=mount.volume, project=spec.project, labels=mount.labels, anonymous=True)


def _image_id(where: Paths, reference: str) -> str:
    from runtime.images import ImageStore

    state = ImageStore(where).find(reference)
    if state is None:
        raise ImageError(f"No such image: {reference}", hint=f"pycompose pull, or: pycompose image bootstrap {reference}")
    return state.id


def _is_pinned(path: str) -> bool:
    """Whether a namespace is mounted there (a crash between making the file and mounting leaves an ordinary file)."""
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except FileNotFoundError:
        return False


def tell_platform(where: Paths, spec: ContainerSpec, error: BaseException) -> None:
    """Say in the hint that an image is for another machine, when that is why its program could not be executed (binfmt_misc may run it)."""
    text = read_file(f"{where.container(spec.project, spec.id)}/image.json")
    if not isinstance(error, LaunchError) or error.errno != errno.ENOEXEC or text is None:
        return
    image, machine = codec.loads(ImageConfig, text), os.uname().machine
    if not image.fits(machine):
        error.hint = f"the image is for {image.platform} and this machine is {machine}; qemu-user-static with binfmt-support would run it"
