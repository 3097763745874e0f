"""Parts of a service as the model has them: builds, deployments, mounts, hooks, watches. Pure."""

from __future__ import annotations

from compose import model
from compose.loader.bind_values import decimal, integer, maps, nulls, opt_tuple, seconds, text, texts, tuples
from compose.schema.tree import Map, Seq, Value


def _sub(holder: Map, *keys: str) -> Map:
    node: Value = holder
    for key in keys:
        node = node.get(key) if isinstance(node, Map) else None
    return node if isinstance(node, Map) else Map()


def mounts(service: Map, key: str) -> tuple[model.ServiceVolume, ...]:
    """``volumes`` of a service."""
    return tuple(_mount(m) for m in maps(service.get(key)))


def _mount(m: Map) -> model.ServiceVolume:
    bind, volume, tmpfs, image = _sub(m, "bind"), _sub(m, "volume"), _sub(m, "tmpfs"), _sub(m, "image")
    return model.ServiceVolume(
        type=text(m, "type"),
        source=text(m, "source"),
        target=text(m, "target"),
        read_only=m.get("read_only") is True,
        consistency=text(m, "consistency"),
        propagation=text(bind, "propagation"),
        create_host_path=bind.get("create_host_path") is True if bind or m.get("bind") is not None else m.get("type") == "bind",
        recursive=text(bind, "recursive"),
        selinux=text(bind, "selinux"),
        nocopy=volume.get("nocopy") is True,
        subpath=text(volume, "subpath") or text(image, "subpath"),
        labels=texts(volume, "labels"),
        tmpfs_size=integer(tmpfs, "size"),
        tmpfs_mode=integer(tmpfs, "mode"),
    )


def hooks(service: Map, key: str) -> tuple[model.Hook, ...]:
    """``pre_start``, ``post_start``, ``pre_stop``."""
    return tuple(hook(h) for h in maps(service.get(key)))


def hook(h: Map) -> model.Hook:
    """One hook."""
    return model.Hook(
        command=tuples(h, "command"),
        user=text(h, "user"),
        privileged=h.get("privileged") is True,
        working_dir=text(h, "working_dir"),
        environment=nulls(h, "environment"),
        image=text(h, "image"),
        per_replica=h.get("per_replica") is True,
    )


def rules(develop: Map) -> tuple[model.WatchRule, ...]:
    """``develop.watch``."""
    return tuple(
        model.WatchRule(
            path=text(w, "path"),
            action=text(w, "action"),
            target=text(w, "target"),
            ignore=tuples(w, "ignore"),
            include=tuples(w, "include"),
            exec=hook(run) if isinstance(run := w.get("exec"), Map) and run.get("command") else None,
            initial_sync=w.get("initial_sync") is True or w.get("x-initialSync") is True,
        )
        for w in maps(develop.get("watch"))
    )


def ulimits(service: Map, key: str) -> tuple[model.Ulimit, ...]:
    """``ulimits``."""
    value = service.get(key)
    result = []
    for name, limit in sorted(value.items(), key=lambda e: e[0]) if isinstance(value, Map) else ():
        if isinstance(limit, Map):
            result.append(model.Ulimit(name=name, soft=integer(limit, "soft") or 0, hard=integer(limit, "hard") or 0))
        elif isinstance(limit, int):
            result.append(model.Ulimit(name=name, soft=limit, hard=limit))
    return tuple(result)


def device_requests(holder: Map, key: str) -> tuple[model.DeviceRequest, ...]:
    """``gpus`` and reserved devices."""
    return tuple(
        model.DeviceRequest(
            capabilities=tuples(r, "capabilities"),
            driver=text(r, "driver"),
            count=integer(r, "count"),
            device_ids=tuples(r, "device_ids"),
            options=texts(r, "options"),
        )
        for r in maps(holder.get(key))
    )


def build(service: Map, key: str) -> model.Build | None:
    """``build``."""
    b = service.get(key)
    if not isinstance(b, Map):
        return None
    hosts = b.get("extra_hosts")
    return model.Build(
        context=text(b, "context"),
        dockerfile=text(b, "dockerfile"),
        dockerfile_inline=text(b, "dockerfile_inline"),
        args=nulls(b, "args"),
        additional_contexts=texts(b, "additional_contexts"),
        ssh={k: v or "" for k, v in nulls(b, "ssh").items()},
        secrets=tuple(
            model.ServiceFile(
                source=text(f, "source"), target=text(f, "target"), uid=text(f, "uid"), gid=text(f, "gid"), mode=integer(f, "mode")
            )
            for f in maps(b.get("secrets"))
        ),
        cache_from=tuples(b, "cache_from"),
        cache_to=tuples(b, "cache_to"),
        no_cache=b.get("no_cache") is True,
        no_cache_filter=tuples(b, "no_cache_filter"),
        pull=b.get("pull") is True,
        network=text(b, "network"),
        extra_hosts=tuple(sorted((h, str(a)) for h, v in hosts.items() for a in (v if isinstance(v, Seq) else ())))
        if isinstance(hosts, Map)
        else (),
        labels=texts(b, "labels"),
        tags=tuples(b, "tags"),
        target=text(b, "target"),
        platforms=tuples(b, "platforms"),
        privileged=b.get("privileged") is True,
        entitlements=tuples(b, "entitlements"),
        isolation=text(b, "isolation"),
        provenance=text(b, "provenance"),
        sbom=text(b, "sbom"),
        shm_size=integer(b, "shm_size"),
        ulimits=ulimits(b, "ulimits"),
    )


def deploy(service: Map, key: str) -> model.Deploy | None:
    """``deploy``."""
    d = service.get(key)
    if not isinstance(d, Map):
        return None
    limits, reservations, restart = _sub(d, "resources", "limits"), _sub(d, "resources", "reservations"), _sub(d, "restart_policy")
    return model.Deploy(
        mode=text(d, "mode"),
        replicas=integer(d, "replicas"),
        labels=texts(d, "labels"),
        cpus=decimal(limits, "cpus") or None,
        memory=integer(limits, "memory") or None,
        pids=integer(limits, "pids") or None,
        reservation_memory=integer(reservations, "memory") or None,
        reservation_devices=device_requests(reservations, "devices"),
        restart_condition=text(restart, "condition") or ("any" if d.get("restart_policy") is not None else ""),
        restart_max_attempts=integer(restart, "max_attempts"),
        restart_delay=seconds(restart, "delay"),
        restart_window=seconds(restart, "window"),
    )


__all__ = ["build", "deploy", "device_requests", "hook", "hooks", "mounts", "opt_tuple", "rules", "ulimits"]
