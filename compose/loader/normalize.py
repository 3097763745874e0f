"""The phases after merging: defaults, and what Compose adds (the default network, implied dependencies, names). Change the tree in place."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from compose.schema.base import Reading
from compose.schema.tree import Map, Origin, Seq, Value

_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")


def defaults(tree: Map, *, as_written: bool = False) -> None:
    """What is understood when it is not written."""
    every: Value = "all" if as_written else -1
    for service in maps(tree.get("services")):
        build = service.get("build")
        if isinstance(build, Map):
            _default(build, "context", ".")
        _servers(service)
        for port in maps(service.get("ports")):
            _default(port, "mode", "ingress")
            _default(port, "protocol", "tcp")
        for secret in maps(service.get("secrets")):
            if secret.get("target") is None and secret.get("source"):
                secret.put("target", f"/run/secrets/{secret['source']}", secret.origin)
        for dependency in maps(service.get("depends_on")):
            _default(dependency, "required", True)
        for item in maps(service.get("env_file")):
            _default(item, "required", True)
        for request in requests(service):
            if "count" not in request and "device_ids" not in request:
                request.put("count", every, request.origin)


def _servers(service: Map) -> None:
    """Leave empty texts out of ``dns``: an unset variable is no server."""
    servers = service.get("dns")
    if isinstance(servers, Seq) and "" in servers:
        kept = [(server, origin) for server, origin in servers.placed() if server != ""]
        servers[:], servers.at = [server for server, _ in kept], [origin for _, origin in kept]


def requests(service: Map) -> list[Map]:
    """The device requests of a service, in both their places."""
    node: Value = service.get("deploy")
    for key in ("resources", "reservations", "devices"):
        node = node.get(key) if isinstance(node, Map) else None
    return [*maps(service.get("gpus")), *maps(node)]


def maps(value: Value) -> list[Map]:
    """The mappings in a mapping or list."""
    items = value.values() if isinstance(value, Map) else value if isinstance(value, Seq) else ()
    return [item for item in items if isinstance(item, Map)]


def _default(holder: Map, key: str, value: Value) -> None:
    if holder.get(key) is None:
        holder.put(key, value, holder.origin)


def externals(tree: Map, reading: Reading) -> None:
    """Turn ``external: {name: x}`` into ``external: true`` and ``name``, with a warning."""
    for section in ("networks", "volumes", "secrets", "configs"):
        resources = tree.get(section)
        for key, resource in resources.items() if isinstance(resources, Map) else ():
            external = resource.get("external") if isinstance(resource, Map) else None
            if isinstance(resource, Map) and isinstance(external, Map):
                resource["external"] = True
                if "name" not in external:
                    continue
                if resource.get("name", external["name"]) != external["name"]:
                    message = "name and external.name conflict; only use name"
                    reading.problem(message, external.where("name"), at=(section, key), hint="external: true and name: …")
                resource.adopt("name", external["name"], external)
                reading.warnings.append(f"{section}.{key}: external.name is deprecated. Please set name and external: true")


def normalize(tree: Map, name: str, environment: Mapping[str, str]) -> None:
    """Add what the rest of the program may then count on."""
    services = tree.get("services")
    for service in maps(services):
        if service.get("pull_policy") == "if_not_present":
            service["pull_policy"] = "missing"
        build = service.get("build")
        if isinstance(build, Map):
            _build(build, environment)
        _dependencies(service)
        for mount in maps(service.get("volumes")):
            if isinstance(mount.get("target"), str):
                mount["target"] = posixpath.normpath(str(mount["target"])) if mount["target"] else "."
        for hook in maps(service.get("pre_start")):
            if not hook.get("image") and service.get("image"):
                hook.put("image", service["image"], hook.origin)
    _default_network(tree)
    _names(tree, name)


def _build(build: Map, environment: Mapping[str, str]) -> None:
    if build.get("context") is None:
        build.put("context", ".", build.origin)
    if build.get("dockerfile") is None and build.get("dockerfile_inline") is None:
        build.put("dockerfile", "Dockerfile", build.origin)
    args = build.get("args")
    if isinstance(args, Map):
        for key in [k for k, v in args.items() if v is None]:
            if key in environment:
                args[key] = environment[key]
            else:
                args.drop(key)
    elif isinstance(args, Seq):  # as written
        args[:] = [line if "=" in line else f"{line}={environment[line]}" for line in map(str, args) if "=" in line or line in environment]


def _dependencies(service: Map) -> None:
    """Dependencies that links, shared namespaces and shared volumes imply."""
    present = service.get("depends_on")
    depends = present if isinstance(present, Map) else Map(service.origin)
    for link, origin in _items(service, "links"):
        _depend(depends, link.partition(":")[0] if link.count(":") == 1 else link, origin, restart=True)
    for key in _NAMESPACES:
        value = service.get(key)
        if isinstance(value, str) and value.startswith("service:"):
            _depend(depends, value[len("service:") :], service.where(key), restart=True)
    for source, origin in _items(service, "volumes_from"):
        if not source.startswith("container:"):
            _depend(depends, source.split(":")[0], origin, restart=False)
    if depends and present is None:
        service.put("depends_on", depends, service.origin)


def _items(service: Map, key: str) -> list[tuple[str, Origin | None]]:
    value = service.get(key)
    return [(str(item), origin) for item, origin in value.placed()] if isinstance(value, Seq) else []


def _depend(depends: Map, name: str, origin: Origin | None, *, restart: bool) -> None:
    if name in depends:
        return
    dependency = Map(origin)
    dependency.put("condition", "service_started", origin)
    dependency.put("restart", restart, origin)
    dependency.put("required", True, origin)
    depends.put(name, dependency, origin)


def _default_network(tree: Map) -> None:
    used = False
    for service in maps(tree.get("services")):
        if "provider" in service or "network_mode" in service:
            continue
        networks = service.get("networks")
        if not networks:
            networks = Map(service.origin)
            networks.put("default", None, service.origin)
            service.put("networks", networks, service.origin)
        used = used or (isinstance(networks, Map) and "default" in networks)
    if used:
        declared = tree.get("networks")
        if not isinstance(declared, Map):
            declared = Map(tree.origin)
            tree.put("networks", declared, tree.origin)
        if "default" not in declared:
            declared.put("default", Map(tree.origin), tree.origin)


def filled(tree: Map) -> None:
    """Make mappings of resources that nothing is said of."""
    for section in ("networks", "volumes"):
        resources = tree.get(section)
        if isinstance(resources, Map):
            for key in [k for k, v in resources.items() if v is None]:
                resources[key] = Map(resources.where(key))


def _names(tree: Map, name: str) -> None:
    filled(tree)
    for section in ("networks", "volumes", "configs", "secrets"):
        resources = tree.get(section)
        if not isinstance(resources, Map):
            continue
        for key, resource in resources.items():
            if isinstance(resource, Map) and not resource.get("name"):
                resource.put("name", key if resource.get("external") is True else f"{name}_{key}", resource.origin)
