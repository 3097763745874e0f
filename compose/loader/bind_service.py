"""One service of the canonical tree as a ``Service``. Pure; durations become seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields

from compose import model
from compose.loader.bind_parts import build, deploy, device_requests, hooks, mounts, rules, ulimits
from compose.loader.bind_values import bool_or_none, decimal, each, integer, maps, nulls, opt_tuple, seconds, text, texts, tuples
from compose.schema.service import service as schema
from compose.schema.tree import Map, Seq


def _files(service: Map, key: str) -> tuple[model.ServiceFile, ...]:
    return tuple(
        model.ServiceFile(
            source=text(f, "source"), target=text(f, "target"), uid=text(f, "uid"), gid=text(f, "gid"), mode=integer(f, "mode")
        )
        for f in maps(service.get(key))
    )


def _ports(service: Map, key: str) -> tuple[model.Port, ...]:
    return tuple(
        model.Port(
            target=integer(p, "target") or 0,
            published=text(p, "published"),
            host_ip=text(p, "host_ip"),
            protocol=text(p, "protocol") or "tcp",
            mode=text(p, "mode") or "ingress",
            name=text(p, "name"),
            app_protocol=text(p, "app_protocol"),
        )
        for p in maps(service.get(key))
    )


def _depends(service: Map, key: str) -> dict[str, model.Dependency]:
    return {
        name: model.Dependency(
            service=name,
            condition=text(d, "condition") or "service_started",  # type: ignore[arg-type]
            restart=d.get("restart") is True,
            required=d.get("required") is not False,
        )
        for name, d in each(service.get(key))
    }


def _healthcheck(service: Map, key: str) -> model.Healthcheck | None:
    h = service.get(key)
    if not isinstance(h, Map):
        return None
    return model.Healthcheck(
        test=opt_tuple(h, "test") or None,
        interval=seconds(h, "interval"),
        timeout=seconds(h, "timeout"),
        retries=integer(h, "retries"),
        start_period=seconds(h, "start_period"),
        start_interval=seconds(h, "start_interval"),
        disable=h.get("disable") is True,
    )


def _networks(service: Map, key: str) -> tuple[model.ServiceNetwork, ...]:
    return tuple(
        model.ServiceNetwork(
            network=name,
            aliases=tuples(n, "aliases"),
            interface_name=text(n, "interface_name"),
            ipv4_address=text(n, "ipv4_address"),
            ipv6_address=text(n, "ipv6_address"),
            link_local_ips=tuples(n, "link_local_ips"),
            mac_address=text(n, "mac_address"),
            driver_opts=texts(n, "driver_opts"),
            priority=integer(n, "priority") or 0,
            gw_priority=integer(n, "gw_priority") or 0,
        )
        for name, n in sorted(each(service.get(key)), key=lambda e: e[0])
    )


def _hosts(service: Map, key: str) -> tuple[tuple[str, str], ...]:
    """By name and address, as ``config`` shows them."""
    value = service.get(key)
    return (
        tuple(sorted((h, str(a)) for h, addresses in value.items() for a in (addresses if isinstance(addresses, Seq) else ())))
        if isinstance(value, Map)
        else ()
    )


def _devices(service: Map, key: str) -> tuple[model.Device, ...]:
    return tuple(
        model.Device(source=text(d, "source"), target=text(d, "target"), permissions=text(d, "permissions") or "rwm")
        for d in maps(service.get(key))
    )


def _blkio(service: Map, key: str) -> model.BlkioConfig | None:
    b = service.get(key)
    if not isinstance(b, Map):
        return None
    return model.BlkioConfig(
        weight=integer(b, "weight") or None,
        weight_device=_rates(b, "weight_device", "weight"),
        device_read_bps=_rates(b, "device_read_bps", "rate"),
        device_write_bps=_rates(b, "device_write_bps", "rate"),
        device_read_iops=_rates(b, "device_read_iops", "rate"),
        device_write_iops=_rates(b, "device_write_iops", "rate"),
    )


def _rates(blkio: Map, key: str, rate: str) -> tuple[model.BlkioRate, ...]:
    return tuple(model.BlkioRate(path=text(r, "path"), rate=integer(r, rate) or 0) for r in maps(blkio.get(key)))


def _logging(service: Map, key: str) -> model.Logging | None:
    value = service.get(key)
    return model.Logging(driver=text(value, "driver"), options=texts(value, "options")) if isinstance(value, Map) else None


def _provider(service: Map, key: str) -> model.Provider | None:
    value = service.get(key)
    if not isinstance(value, Map):
        return None
    options = value.get("options")
    given = options.items() if isinstance(options, Map) else ()
    return model.Provider(type=text(value, "type"), options={k: tuple(map(str, v)) for k, v in given if isinstance(v, Seq)})


def _models(service: Map, key: str) -> dict[str, Mapping[str, str]]:
    value = service.get(key)
    return {name: texts(value, name) for name in value} if isinstance(value, Map) else {}


def _attach(service: Map, key: str) -> bool:
    return service.get(key) is not False


def _flag(service: Map, key: str) -> bool:
    return service.get(key) is True


def _zero(service: Map, key: str) -> int:
    return integer(service, key) or 0


def _watch(service: Map, key: str) -> tuple[model.WatchRule, ...]:
    value = service.get(key)
    return rules(value) if isinstance(value, Map) else ()


_SPECIAL: dict[str, Callable[[Map, str], object]] = {
    "attach": _attach,
    "blkio_config": _blkio,
    "build": build,
    "command": opt_tuple,
    "configs": _files,
    "depends_on": _depends,
    "deploy": deploy,
    "develop": _watch,
    "devices": _devices,
    "entrypoint": opt_tuple,
    "environment": nulls,
    "extra_hosts": _hosts,
    "gpus": device_requests,
    "healthcheck": _healthcheck,
    "init": bool_or_none,
    "logging": _logging,
    "models": _models,
    "networks": _networks,
    "oom_score_adj": _zero,
    "ports": _ports,
    "post_start": hooks,
    "pre_start": hooks,
    "pre_stop": hooks,
    "provider": _provider,
    "secrets": _files,
    "stop_grace_period": seconds,
    "ulimits": ulimits,
    "volumes": mounts,
    "cpus": decimal,
    "cpu_percent": decimal,
}
_ANNOTATED: dict[str, Callable[[Map, str], object]] = {
    "str": text,
    "bool": _flag,
    "int | None": integer,
    "tuple[str, ...]": tuples,
    "Mapping[str, str]": texts,
}


def _binders() -> dict[str, Callable[[Map, str], object]]:
    result: dict[str, Callable[[Map, str], object]] = {}
    for attribute in fields(model.Service):
        if attribute.name != "name":
            result[attribute.name] = _SPECIAL.get(attribute.name) or _ANNOTATED[str(attribute.type)]
    return result


_BINDERS = _binders()
_KEPT = frozenset(known.key for known in schema.fields if known.keep)


def service(name: str, item: Map) -> model.Service:
    """The model of one service; what ``config`` leaves out (such as a limit of 0) is not set."""
    given = {key: _BINDERS[key](item, key) for key in item if key in _BINDERS and (item[key] or key in _KEPT)}
    bound = model.Service(name=name, **given)  # type: ignore[arg-type]
    if bound.deploy is not None:
        return _limits(bound, bound.deploy)
    return bound


def _limits(service: model.Service, deploy: model.Deploy) -> model.Service:
    """``deploy``'s limits in the service's own attributes, where those say nothing."""
    from dataclasses import replace

    changes: dict[str, object] = {}
    for own, value in (
        ("cpus", deploy.cpus),
        ("mem_limit", deploy.memory),
        ("pids_limit", deploy.pids),
        ("mem_reservation", deploy.reservation_memory),
    ):
        if value is not None and getattr(service, own) is None:
            changes[own] = value
    return replace(service, **changes) if changes else service  # type: ignore[arg-type]


__all__ = ["bool_or_none", "integer", "service", "text", "texts"]
