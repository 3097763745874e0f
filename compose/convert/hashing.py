"""Config hashes: what is compared to decide whether something changed. Pure.

A container's hash leaves out what does not shape the container (build, pull policy, replica counts, order, profiles) and takes in the content
of inline configs and secrets. Unset attributes count for nothing, so a hash survives new attributes in later versions.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from hashlib import sha256
from typing import TypeVar

from compose.model import Deploy, Network, Project, Service, Volume
from runtime.codec import encode

_CLEARED = frozenset(("name", "build", "pull_policy", "pull_refresh_after", "scale", "depends_on", "profiles"))

Hashed = TypeVar("Hashed", Service, Network, Volume)


def config_hash(service: Service, project: Project) -> str:
    """64 hex digits over everything that shapes the service's containers; printed by ``config --hash``, kept in a label."""
    values = {n: _plain(v) for n, v in _written(service) if n not in _CLEARED}
    if service.deploy is not None:
        values["deploy"] = _without_replicas(service.deploy)
    contents = _contents(service, project)
    if contents:
        values["contents"] = contents
    return _digest(values)


def network_hash(network: Network) -> str:
    """64 hex digits over a network's definition."""
    return _digest({n: _plain(v) for n, v in _written(network) if n != "key"})


def volume_hash(volume: Volume) -> str:
    """64 hex digits over a volume's definition."""
    return _digest({n: _plain(v) for n, v in _written(volume) if n != "key"})


_DEFAULTS: dict[type, tuple[tuple[str, object], ...]] = {}


def _written(value: Hashed) -> list[tuple[str, object]]:
    """The fields that differ from their defaults. ``False`` and the like are skipped by identity first: this runs for every service of every ``up``."""
    kind = type(value)
    defaults = _DEFAULTS.get(kind)
    if defaults is None:
        defaults = _DEFAULTS[kind] = tuple((f.name, {} if f.default is MISSING else f.default) for f in fields(kind))
    return [(n, v) for n, d in defaults if (v := getattr(value, n)) is not d and v != d]


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, float)) else encode(value)


def _without_replicas(deploy: Deploy) -> object:
    return {k: v for k, v in encode(deploy).items() if k != "replicas"}


def _contents(service: Service, project: Project) -> dict[str, str]:
    found = {}
    for kind, uses, sources in (("config", service.configs, project.configs), ("secret", service.secrets, project.secrets)):
        for use in uses:
            source = sources.get(use.source)
            if source is not None and source.content is not None:
                found[f"{kind}:{use.source}"] = source.content
    return found


def _digest(values: dict[str, object]) -> str:
    return sha256(json.dumps(values, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()
