"""Flags in Compose's short forms: volumes, ports, labels, commands, environment files. In the command's process."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from compose.errors import UsageError
from compose.model import Port, ServiceVolume
from compose.schema import mounts
from compose.schema import ports as publications


def ports(said: Iterable[str]) -> tuple[Port, ...]:
    """``[[IP:]HOST:]CONTAINER[/PROTOCOL]`` entries. Raises UsageError."""
    try:
        found = [p for text in said for p in publications.parse(text)]
    except ValueError as error:
        raise UsageError(f"--publish: {error}", hint="for example 8080:80, 127.0.0.1:53:53/udp") from None
    return tuple(Port(target=p.target, published=p.published, host_ip=p.host_ip, protocol=p.protocol) for p in found)


def volumes(said: Iterable[str], directory: str) -> tuple[ServiceVolume, ...]:
    """``[SOURCE:]TARGET[:OPTIONS]`` entries; relative sources are below ``directory``. Raises UsageError."""
    return tuple(_volume(text, directory) for text in said)


def labels(said: Iterable[str]) -> dict[str, str]:
    """``KEY=VALUE`` entries; a ``KEY`` alone is empty."""
    return {key: value for key, _, value in (text.partition("=") for text in said)}


def words(text: str) -> tuple[str, ...]:
    """A command as a shell would split it. Raises UsageError."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"invalid command {text!r}: {error}") from None


def env_files(paths: Iterable[str]) -> dict[str, str | None]:
    """The variables of several files, later ones winning. Raises UsageError."""
    from compose.loader.dotenv import DotenvError, parse

    found: dict[str, str | None] = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                found |= parse(file.read(), os.environ.get)
        except OSError as error:
            raise UsageError(f"--env-from-file {path}: {error.strerror}") from None
        except DotenvError as error:
            raise UsageError(f"--env-from-file {path}: {error}") from None
    return found


def _volume(text: str, directory: str) -> ServiceVolume:
    try:
        mount = mounts.parse(text)
    except ValueError as error:
        raise UsageError(f"--volume: {error}", hint="for example ./src:/app:ro, data:/var/lib") from None
    if not mount.target.startswith("/"):
        raise UsageError(f"--volume: invalid mount path: {mount.target!r} mount path must be absolute")
    return ServiceVolume(
        type=mount.type,
        source=os.path.normpath(os.path.join(directory, os.path.expanduser(mount.source))) if mount.type == "bind" else mount.source,
        target=mount.target,
        read_only=mount.read_only,
        propagation=mount.bind.get("propagation", ""),
        selinux=mount.bind.get("selinux", ""),
        create_host_path=mount.type == "bind",
        nocopy=mount.nocopy,
    )
