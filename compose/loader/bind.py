"""The last phase: the canonical tree becomes the frozen model. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compose.loader.bind_service import bool_or_none, service, text, texts
from compose.loader.bind_service import integer as _integer
from compose.model import AiModel, FileSource, IpamPool, Network, Service, Volume
from compose.schema.tree import Map, Seq, Value


def services(tree: Map, names: set[str]) -> dict[str, Service]:
    """The services in ``names``, sorted."""
    every = tree.get("services")
    return {name: service(name, item) for name in sorted(names) if isinstance(every, Map) and isinstance(item := every.get(name), Map)}


def without_missing(services: dict[str, Service]) -> dict[str, Service]:
    """The same without optional dependencies on services that are off."""
    for name, item in services.items():
        if any(other not in services for other in item.depends_on):
            kept = {other: d for other, d in item.depends_on.items() if other in services or d.required}
            services[name] = replace(item, depends_on=kept)
    return services


def networks(tree: Map) -> dict[str, Network]:
    """Top-level networks."""
    return {key: _network(key, item) for key, item in _entries(tree, "networks")}


def _network(key: str, item: Map) -> Network:
    ipam = item.get("ipam")
    ipam = ipam if isinstance(ipam, Map) else Map()
    pools = ipam.get("config")
    return Network(
        key=key,
        name=text(item, "name") or key,
        driver=text(item, "driver"),
        driver_opts=texts(item, "driver_opts"),
        ipam_driver=text(ipam, "driver"),
        ipam_options=texts(ipam, "options"),
        ipam=tuple(_pool(pool) for pool in (pools if isinstance(pools, Seq) else ()) if isinstance(pool, Map)),
        external=item.get("external") is True,
        internal=item.get("internal") is True,
        attachable=item.get("attachable") is True,
        enable_ipv4=bool_or_none(item, "enable_ipv4"),
        enable_ipv6=bool_or_none(item, "enable_ipv6"),
        labels=texts(item, "labels"),
    )


def _pool(pool: Map) -> IpamPool:
    return IpamPool(
        subnet=text(pool, "subnet"),
        ip_range=text(pool, "ip_range"),
        gateway=text(pool, "gateway"),
        aux_addresses=texts(pool, "aux_addresses"),
    )


def volumes(tree: Map) -> dict[str, Volume]:
    """Top-level volumes."""
    return {
        key: Volume(
            key=key,
            name=text(item, "name") or key,
            driver=text(item, "driver"),
            driver_opts=texts(item, "driver_opts"),
            external=item.get("external") is True,
            labels=texts(item, "labels"),
        )
        for key, item in _entries(tree, "volumes")
    }


def file_sources(tree: Map, section: str, environment: Mapping[str, str]) -> dict[str, FileSource]:
    """Top-level configs or secrets; the value of a variable becomes the content."""
    return {
        key: FileSource(
            key=key,
            name=text(item, "name") or key,
            file=text(item, "file"),
            environment=text(item, "environment"),
            content=_content(item, environment),
            external=item.get("external") is True,
            labels=texts(item, "labels"),
            driver=text(item, "driver"),
            driver_opts=texts(item, "driver_opts"),
            template_driver=text(item, "template_driver"),
        )
        for key, item in _entries(tree, section)
    }


def _content(item: Map, environment: Mapping[str, str]) -> str | None:
    if "content" in item:
        return text(item, "content")
    variable = text(item, "environment")
    return environment.get(variable) if variable else None


def models(tree: Map) -> dict[str, AiModel]:
    """Top-level models."""
    return {
        key: AiModel(
            key=key,
            name=text(item, "name"),
            model=text(item, "model"),
            context_size=_integer(item, "context_size"),
            runtime_flags=tuple(map(str, flags)) if isinstance(flags := item.get("runtime_flags"), Seq) else (),
        )
        for key, item in _entries(tree, "models")
    }


def _entries(tree: Map, section: str) -> list[tuple[str, Map]]:
    value: Value = tree.get(section)
    return (
        [(key, item if isinstance(item, Map) else Map()) for key, item in sorted(value.items(), key=lambda e: e[0])]
        if isinstance(value, Map)
        else []
    )
