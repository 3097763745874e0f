"""Filling an empty volume with what the image holds at the mount point, owner and mode kept, as Docker does on first use.

The image's merged view is mounted in a mount namespace of a short-lived process of its own, so nothing can be left behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from runtime.errors import RuntimeFailure
from runtime.spec import ContainerSpec, VolumeMount
from runtime.store import entries

UNFINISHED = "seeding"  # beside a volume's data while it is being seeded: what was ended in between is done again


def seed(spec: ContainerSpec, layers: Sequence[str], volumes: Mapping[str, str]) -> None:
    """Seed every empty volume of ``spec`` whose mount point may exist in the image; ``volumes`` maps names to data directories."""
    for mount in spec.mounts:
        if not isinstance(mount, VolumeMount) or mount.nocopy or mount.subpath:
            continue
        data = volumes[mount.volume]
        if (not entries(data) or os.path.exists(f"{os.path.dirname(data)}/{UNFINISHED}")) and _may_exist(layers, mount.target):
            _seed_one(layers, mount.target, data, mount.origin or mount.target)


def _may_exist(layers: Sequence[str], target: str) -> bool:
    """Whether some layer has the first component of ``target`` and, unless that is a link, the whole path: cheap, and never wrongly False."""
    parts = [p for p in target.split("/") if p]
    for layer in layers:
        path = layer
        for part in parts:
            path = f"{path}/{part}"
            if os.path.islink(path):
                return True
            if not os.path.lexists(path):
                break
        else:
            return bool(parts)
    return False


def _seed_one(layers: Sequence[str], target: str, data: str, origin: str) -> None:
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seed_volume.py")
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, target, data, *layers], capture_output=True, text=True, check=False, timeout=3600
    )
    if done.returncode != 0:
        detail = (done.stderr.strip().splitlines() or ["unknown error"])[-1]
        raise RuntimeFailure(f"{origin}: cannot copy the image's content into the volume: {detail}", hint="or set volume.nocopy: true")
