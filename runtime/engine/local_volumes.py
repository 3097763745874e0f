"""The local driver's options (type, o, device): a volume that is a directory elsewhere, a tmpfs, an NFS export. In the command's process.

A bind is not mounted at all: containers get the directory itself. Everything else is mounted on the volume's data directory by mount(8), when
the first container that uses it is made or started, and unmounted with the last.
"""

from __future__ import annotations

import os
import subprocess

from runtime.engine import records
from runtime.errors import RuntimeFailure
from runtime.spec import ContainerSpec, VolumeMount, VolumeSpec
from runtime.store import Paths, locked

_PATIENCE = 120  # seconds; an NFS server that is away


def data_directory(where: Paths, volume: VolumeSpec) -> str:
    """Where the volume's data is on the host, mounted if it must be. Raises RuntimeFailure when it cannot be."""
    place = records.record_volume(where, volume)
    options, device = volume.driver_opts, volume.driver_opts.get("device", "")
    if not options.get("type") and not device:
        return place
    if "bind" in options.get("o", "").split(",") or (options.get("type") == "none" and device):
        if not os.path.exists(device):
            raise RuntimeFailure(f"volume {volume.name}: device {device} does not exist", hint="create it, or change driver_opts.device")
        return device
    with locked(f"{where.volumes}/.mounts.lock"):  # containers are made side by side: one of them mounts
        if not os.path.ismount(place):
            _mount(volume, place)
    return place


def mount_all(where: Paths, spec: ContainerSpec) -> None:
    """Mount what a container's volumes need, again after a reboot."""
    for mount in spec.mounts:
        if isinstance(mount, VolumeMount):
            data_directory(where, records.volume(where, mount.volume))


def unmount_unused(where: Paths, spec: ContainerSpec) -> None:
    """Unmount those of a removed container's volumes that no other container has."""
    mounted = [m.volume for m in spec.mounts if isinstance(m, VolumeMount) and os.path.ismount(f"{where.volumes}/{m.volume}/_data")]
    if mounted:
        used = {m.volume for other in records.container_specs(where) for m in other.mounts if isinstance(m, VolumeMount)}
        for name in set(mounted) - used:
            _run("umount", f"{where.volumes}/{name}/_data", name)


def _mount(volume: VolumeSpec, place: str) -> None:
    options = volume.driver_opts
    words = ["-t", options["type"]] if options.get("type") else []
    words += ["-o", options["o"]] if options.get("o") else []
    _run("mount", *words, "--", options.get("device") or options.get("type", "none"), place, volume.name)


def _run(*words: str) -> None:
    *command, name = words
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise RuntimeFailure(f"volume {name}: {command[0]}: {error}") from None
    if done.returncode != 0:
        raise RuntimeFailure(f"volume {name}: failed to {command[0]}: {done.stderr.strip()}", hint="see its driver_opts: type, o, device")
