"""The labels by which every later command finds what belongs to a project; spelled as Docker Compose spells them. Pure."""

from __future__ import annotations

from compose import __version__
from compose.convert import names
from compose.convert.hashing import network_hash, volume_hash
from compose.graph import dependencies
from compose.model import Network, Project, Service, Volume


def container_labels(project: Project, service: Service, config_hash: str, image_id: str) -> dict[str, str]:
    """The labels all containers of a service share; the caller adds number or slug, and whether it is a one-off."""
    labels = dict(service.labels)
    labels |= {
        names.PROJECT: project.name,
        names.SERVICE: service.name,
        names.VERSION: __version__,
        names.CONFIG_HASH: config_hash,
        names.IMAGE: image_id,
        names.DEPENDS_ON: depends_on(service),
        names.WORKING_DIR: project.working_dir,
        names.CONFIG_FILES: ",".join(project.files),
    }
    if project.env_files:
        labels[names.ENVIRONMENT_FILE] = ",".join(project.env_files)
    return labels


def replica_labels(shared: dict[str, str], number: int, replaced: str = "") -> dict[str, str]:
    """Labels of replica ``number``; ``replaced`` is what it took the place of ("db-1")."""
    labels = {**shared, names.NUMBER: str(number), names.ONE_OFF: "False"}
    if replaced:
        labels[names.REPLACE] = replaced
    return labels


def one_off_labels(shared: dict[str, str], slug: str) -> dict[str, str]:
    """Labels of a container that ``run`` makes."""
    return {**shared, names.ONE_OFF: "True", names.SLUG: slug}


def depends_on(service: Service) -> str:
    """``db:service_healthy:true,cache:service_started:false``: name, condition, whether restarts follow."""
    return ",".join(f"{d.service}:{d.condition}:{'true' if d.restart else 'false'}" for d in dependencies(service).values())


def network_labels(project: Project, network: Network) -> dict[str, str]:
    """The user's labels and ours."""
    ours = {names.PROJECT: project.name, names.NETWORK: network.key, names.VERSION: __version__, names.CONFIG_HASH: network_hash(network)}
    return {**network.labels, **ours}


def volume_labels(project: Project, volume: Volume) -> dict[str, str]:
    """The user's labels and ours."""
    ours = {names.PROJECT: project.name, names.VOLUME: volume.key, names.VERSION: __version__, names.CONFIG_HASH: volume_hash(volume)}
    return {**volume.labels, **ours}
