"""Why a container does not match its service any more: the causes of replacements, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from compose.convert import names
from compose.convert.container import image_volumes_digest
from compose.convert.endpoints import attachments, donor_ids
from compose.convert.hashing import config_hash
from compose.model import Service
from compose.planner.convergence import Action, Change, Convergence, Role
from runtime.spec import ContainerSpec, VolumeMount
from runtime.state import ContainerState, Status

_SHARED = "service:"
_DECIDED = frozenset(("id", "name", "labels", "image_id", "endpoints", "links", "ports", "config_hash", "mounts"))


def cause_to_replace(work: Convergence, service: Service, container: ContainerState) -> str:
    """Why ``container`` must be replaced, "" when it may stay; what the command line forced or forbade counts first."""
    role = work.roles[service.name]
    tied = next(_ties(work, service, container), "")
    if role is Role.FOLLOWER:
        return tied
    if work.intent.no_recreate:
        return ""
    if work.intent.force_recreate and role is Role.ASKED:
        return "force-recreate"
    if work.intent.always_recreate_deps and role is Role.NEEDED:
        return "always-recreate-deps"
    return tied or next(_differences(work, service, container), "")


def digest(work: Convergence, service: Service) -> str:
    """The service's config hash, computed once."""
    if service.name not in work.hashes:
        work.hashes[service.name] = config_hash(service, work.project)
    return work.hashes[service.name]


def changed_attributes(old: ContainerSpec, new: ContainerSpec) -> str:
    """Names of what differs between two specs, as far as the user wrote it: "command, environment"."""
    changed = [f.name for f in fields(ContainerSpec) if f.name not in _DECIDED and getattr(old, f.name) != getattr(new, f.name)]
    if _user_labels(old) != _user_labels(new):
        changed.append("labels")
    if [(p.container_port, p.protocol, p.host_ip) for p in old.ports] != [(p.container_port, p.protocol, p.host_ip) for p in new.ports]:
        changed.append("ports")
    if [e.network for e in old.endpoints] != [e.network for e in new.endpoints]:
        changed.append("networks")
    if old.mounts != new.mounts:
        changed.append("volumes")
    return ", ".join(sorted(changed))


def _differences(work: Convergence, service: Service, container: ContainerState) -> Iterator[str]:
    labels = container.spec.labels
    if labels.get(names.CONFIG_HASH) != digest(work, service):
        yield "config changed"
    image = work.at.image(service)
    if image is not None and labels.get(names.IMAGE) != image.id:
        yield "image changed"
    if service.volumes and labels.get(names.IMAGE_VOLUME, "") != image_volumes_digest(work.at, service):
        yield "mounted image changed"
    if container.process.status in (Status.DEAD, Status.REMOVING):
        yield f"it is {container.process.status}"
    yield from _missing_networks(work, service, container)


def _missing_networks(work: Convergence, service: Service, container: ContainerState) -> Iterator[str]:
    connected = {e.network for e in container.spec.endpoints}
    for attachment in attachments(work.project, service):
        name = work.at.networks[attachment.network].name
        if name not in connected and work.networks[attachment.network] is not Change.RENEW:
            yield f"not connected to network {name}"
        if name in connected and work.networks[attachment.network] is Change.CREATE:
            yield f"network {name} is gone"


def _ties(work: Convergence, service: Service, container: ContainerState) -> Iterator[str]:
    """Causes outside the container's own definition: donors replaced, volumes gone or made anew."""
    for mode, subject in ((service.network_mode, "network"), (service.ipc, "IPC"), (service.pid, "PID"), (service.uts, "UTS")):
        donor = _donor_id(work, mode)
        if donor and donor not in donor_ids(container.spec):
            yield f"shares the {subject} namespace of {mode.removeprefix(_SHARED)}, which is replaced"
    for text in service.volumes_from:
        replicas = work.replicas.get(text.partition(":")[0], ())
        if any(r.action is Action.REPLACE for r in replicas) and work.roles[service.name] is not Role.FOLLOWER:
            yield f"takes volumes from {text.partition(':')[0]}, which is replaced"
    mounted = {m.volume for m in container.spec.mounts if isinstance(m, VolumeMount)}
    for volume in service.volumes:
        if volume.type == "volume" and volume.source:
            yield from _volume_ties(work, volume.source, mounted)


def _donor_id(work: Convergence, mode: str) -> str:
    replicas = work.replicas.get(mode.removeprefix(_SHARED)) if mode.startswith(_SHARED) else None
    return replicas[0].id if replicas else ""


def _volume_ties(work: Convergence, key: str, mounted: set[str]) -> Iterator[str]:
    name = names.volume_name(work.project, key)
    if work.volumes.get(key) is Change.RENEW and name in mounted:
        yield f"volume {name} is made anew"
    if work.volumes.get(key) is Change.CREATE and name in mounted:
        yield f"volume {name} is gone"
    if name not in mounted:
        yield f"volume {name} is not mounted"


def _user_labels(spec: ContainerSpec) -> dict[str, str]:
    return {k: v for k, v in spec.labels.items() if not k.startswith(names.PREFIX)}
