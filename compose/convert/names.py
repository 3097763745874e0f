"""Names and ids: Docker Compose's names, and ids of 64 hex digits that follow from the snapshot's nonce. Pure."""

from __future__ import annotations

from hashlib import sha256

from compose.model import Project, Service

PREFIX = "com.docker.compose."
PROJECT = f"{PREFIX}project"
SERVICE = f"{PREFIX}service"
VERSION = f"{PREFIX}version"
CONFIG_HASH = f"{PREFIX}config-hash"
NUMBER = f"{PREFIX}container-number"
ONE_OFF = f"{PREFIX}oneoff"
SLUG = f"{PREFIX}slug"
IMAGE = f"{PREFIX}image"
IMAGE_VOLUME = f"{PREFIX}image-volume-digest"
DEPENDS_ON = f"{PREFIX}depends_on"
WORKING_DIR = f"{PREFIX}project.working_dir"
CONFIG_FILES = f"{PREFIX}project.config_files"
ENVIRONMENT_FILE = f"{PREFIX}project.environment_file"
REPLACE = f"{PREFIX}replace"
HOOK = f"{PREFIX}hook"
NETWORK = f"{PREFIX}network"
VOLUME = f"{PREFIX}volume"
ANONYMOUS = "com.docker.volume.anonymous"


def identity(nonce: str, kind: str, name: str) -> str:
    """64 hex digits that nobody else has: the nonce is new with every snapshot, ``kind`` and ``name`` tell things of one plan apart."""
    return sha256(f"{nonce}\0{kind}\0{name}".encode()).hexdigest()


def separator(compatibility: bool) -> str:
    """What stands between the parts of a name."""
    return "_" if compatibility else "-"


def container_name(project: Project, service: Service, number: int, *, compatibility: bool = False) -> str:
    """``container_name``, or ``<project>-<service>-<n>``."""
    return service.container_name or separator(compatibility).join((project.name, service.name, str(number)))


def one_off_name(project: Project, service: Service, slug: str, *, compatibility: bool = False) -> str:
    """``<project>-<service>-run-<12 hex digits>``."""
    return separator(compatibility).join((project.name, service.name, "run", slug[:12]))


def temporary_name(replaced: str, name: str) -> str:
    """The name of a container while the one it replaces (by id) still has the right one."""
    return f"{replaced[:12]}_{name}"


def image_name(project: Project, service: Service, *, compatibility: bool = False) -> str:
    """``image``, or the name a built image gets: ``<project>-<service>``."""
    return service.image or f"{project.name}{separator(compatibility)}{service.name}"


def platform(project: Project, service: Service) -> str:
    """The platform that a service's image is pulled and built for: its own, or DOCKER_DEFAULT_PLATFORM; "" takes this machine's."""
    return service.platform or project.environment.get("DOCKER_DEFAULT_PLATFORM", "")


def network_name(project: Project, key: str) -> str:
    """The real name of the network ``key``: its own, or ``<project>_<key>``."""
    network = project.networks.get(key)
    return network.name if network and network.name else f"{project.name}_{key}"


def volume_name(project: Project, key: str) -> str:
    """The real name of the volume ``key``: its own, or ``<project>_<key>``."""
    volume = project.volumes.get(key)
    return volume.name if volume and volume.name else f"{project.name}_{key}"
