"""The phase that judges a whole project: references that lead nowhere, attributes that exclude each other, cycles. Pure; reports everything it finds."""

from __future__ import annotations

from collections.abc import Callable

from compose.loader.normalize import maps, requests
from compose.schema.base import Reading, nearest
from compose.schema.ports import is_address
from compose.schema.tree import Map, Seq, Value

Check = Callable[[Map, str, Map, Reading], None]


def forms(tree: Map, reading: Reading) -> None:
    """Judge volumes, configs, secrets and every service by themselves: what is wrong whether or not anything is on."""
    _resources(tree, reading)
    for name, service in _items(tree.get("services")):
        reading.path = ["services", name]
        _whole(service, reading)
    reading.path = []


def _whole(service: Map, reading: Reading) -> None:
    """Mounts have targets, addresses are such, a device request counts or names."""
    for key, entries in (("volumes", service.get("volumes")), ("ports", service.get("ports"))):
        for index, (item, origin) in enumerate(entries.placed() if isinstance(entries, Seq) else ()):
            if not isinstance(item, Map):
                continue
            address = item.get("host_ip")
            if key == "volumes" and item.get("target") is None:
                reading.problem("a mount needs a target", origin, at=(key, index))
            elif key == "ports" and isinstance(address, str) and address and not reading.undecided(address) and not is_address(address):
                reading.problem(f"invalid IP address: {address}", item.where("host_ip"), at=(key, index, "host_ip"))
    develop = service.get("develop")
    for rule in maps(develop.get("watch")) if isinstance(develop, Map) else ():
        if not rule.get("path"):
            reading.problem("a path must be given", rule.where("path"), at=("develop", "watch"))
    for request in requests(service):
        if "count" in request and "device_ids" in request:
            reading.problem('"count" and "device_ids" attributes are exclusive', request.where("count"), at=("devices",))


def _resources(tree: Map, reading: Reading) -> None:
    for key, resource in _items(tree.get("volumes")):
        for other in resource if resource.get("external") is True else ():
            if other not in ("name", "external") and other[:2] != "x-":
                message = f'conflicting parameters "external" and "{other}" specified'
                reading.problem(
                    message, resource.where(other), at=("volumes", key), hint="what is external is not made here: remove one of them"
                )
    for section, sources in (("secrets", ("file", "environment")), ("configs", ("file", "environment", "content"))):
        for key, resource in _items(tree.get(section)):
            present = [s for s in sources if s in resource]
            names = "|".join(sources)
            if resource.get("external") is True:
                continue
            if len(present) > 1:
                reading.problem(f"{names} attributes are mutually exclusive", resource.where(present[1]), at=(section, key))
            elif not present:
                reading.problem(f"one of {names} must be set", resource.origin, at=(section, key))


def _items(value: Value) -> list[tuple[str, Map]]:
    return [(key, item) for key, item in value.items() if isinstance(item, Map)] if isinstance(value, Map) else []


def services(tree: Map, on: set[str], profiles_of: Callable[[Map], list[str]], reading: Reading) -> None:
    """Judge every service that is on."""
    every = tree.get("services")
    if not isinstance(every, Map):
        return
    for name in sorted(on):
        service = every[name]
        if isinstance(service, Map):
            reading.path = ["services", name]
            for check in CHECKS:
                check(service, name, tree, reading)
            _depends(service, every, on, profiles_of, reading)
    reading.path = []
    if not reading.problems:
        _cycle(every, on, reading)
        _container_names(every, on, reading)


def _image(service: Map, name: str, tree: Map, reading: Reading) -> None:
    if not service.get("build") and not service.get("image") and not service.get("provider"):
        message = f'service "{name}" has neither an image nor a build context specified'
        reading.problem(message, service.origin, hint="give it 'image: …' or 'build: …'")


def _build(service: Map, name: str, tree: Map, reading: Reading) -> None:
    build = service.get("build")
    if not isinstance(build, Map):
        return
    if build.get("dockerfile_inline") and build.get("dockerfile"):
        reading.problem("dockerfile and dockerfile_inline exclude each other", build.where("dockerfile_inline"), at=("build",))
    platforms = build.get("platforms")
    platform = service.get("platform")
    if isinstance(platforms, Seq) and platforms and platform and platform not in platforms:
        reading.problem(f'build.platforms must include the service\'s platform "{platform}"', platforms.origin, at=("build", "platforms"))
    contexts = build.get("additional_contexts")
    every = tree["services"]
    for key, value in contexts.items() if isinstance(contexts, Map) and isinstance(every, Map) else ():
        if isinstance(value, str) and value.startswith("service:"):
            other = value[len("service:") :]
            target = every.get(other) if isinstance(every, Map) else None
            if not isinstance(target, Map) or not target.get("build"):
                message = f"service {other!r} has no build" if isinstance(target, Map) else f"unknown service {other!r}"
                reading.problem(message, build.where("additional_contexts"), at=("build", "additional_contexts", key))
    for secret in maps(build.get("secrets")):
        _defined(str(secret.get("source")), tree, "secrets", "build secret", secret, name, reading)


def _networks(service: Map, name: str, tree: Map, reading: Reading) -> None:
    networks = service.get("networks")
    if not isinstance(networks, Map):
        return
    if networks and service.get("network_mode"):
        reading.problem("`network_mode` and `networks` are mutually exclusive", service.where("network_mode"), hint="remove one of them")
        return
    for key in networks:
        if key == "default":
            continue
        _defined(key, tree, "networks", "network", networks, name, reading, key)


def _defined(key: str, tree: Map, section: str, what: str, holder: Map, name: str, reading: Reading, at: str = "source") -> None:
    known = tree.get(section)
    if isinstance(known, Map) and key in known:
        return
    close = nearest(key, known) if isinstance(known, Map) else None
    hint = f"did you mean {close!r}?" if close else f"declare it: '{section}: {{{key}: …}}' at the top level of a file"
    reading.problem(
        f'service "{name}" refers to undefined {what} {key}', holder.place(at)[0] if at != "source" else holder.where(at), hint=hint
    )


def _uses(service: Map, name: str, tree: Map, reading: Reading) -> None:
    for mount in maps(service.get("volumes")):
        if mount.get("type") == "volume" and mount.get("source"):
            _defined(str(mount["source"]), tree, "volumes", "volume", mount, name, reading)
        if mount.get("type") == "bind" and not mount.get("source"):
            reading.problem("a bind mount needs a source", mount.origin)
    for section, what in (("configs", "config"), ("secrets", "secret")):
        for item in maps(service.get(section)):
            _defined(str(item.get("source")), tree, section, what, item, name, reading)
    models = service.get("models")
    for key in models if isinstance(models, Map) else ():
        _defined(key, tree, "models", "model", models, name, reading, key)  # type: ignore[arg-type]


def _health(service: Map, name: str, tree: Map, reading: Reading) -> None:
    health = service.get("healthcheck")
    test = health.get("test") if isinstance(health, Map) else None
    if isinstance(test, Seq) and test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        message = 'healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"'
        reading.problem(message, test.where(0), at=("healthcheck", "test"), hint="a plain string is run by the container's shell")


def _scale(service: Map, name: str, tree: Map, reading: Reading) -> None:
    deploy = service.get("deploy")
    replicas = deploy.get("replicas") if isinstance(deploy, Map) else None
    scale = service.get("scale")
    if scale is not None and replicas is not None and scale != replicas:
        reading.problem("can't set distinct values on 'scale' and 'deploy.replicas'", service.where("scale"), hint="set one of them")
    count = replicas if scale is None else scale
    if isinstance(count, int) and count > 1 and service.get("container_name"):
        attribute = "deploy.replicas" if scale is None else "scale"
        message = f"can't set container_name and {attribute} as container name must be unique"
        reading.problem(message, service.where("container_name"), hint="remove container_name")
    for own, section, key in (
        ("cpus", "limits", "cpus"),
        ("mem_limit", "limits", "memory"),
        ("mem_reservation", "reservations", "memory"),
        ("pids_limit", "limits", "pids"),
    ):
        value = service.get(own)
        node: Value = deploy
        for part in ("resources", section):
            node = node.get(part) if isinstance(node, Map) else None
        if value and isinstance(node, Map) and (node.get(key) or 0) != value:
            reading.problem(
                f"can't set distinct values on '{own}' and 'deploy.resources.{section}.{key}'", service.where(own), hint="set one of them"
            )


def _targets(service: Map, name: str, tree: Map, reading: Reading) -> None:
    taken: dict[str, str] = {}
    tmpfs = service.get("tmpfs")
    entries = [(f"tmpfs[{i}]", str(v).partition(":")[0], o) for i, (v, o) in enumerate(tmpfs.placed())] if isinstance(tmpfs, Seq) else []
    volumes = service.get("volumes")
    for index, (mount, origin) in enumerate(volumes.placed() if isinstance(volumes, Seq) else ()):
        if isinstance(mount, Map):
            entries.append((f"volumes[{index}]", str(mount.get("target", "")), origin))
    for place, target, origin in entries:
        if target in taken and (place[0] == "t" or taken[target][0] == "t"):
            reading.problem(f"target {target} already mounted as services.{name}.{taken[target]}", origin, at=(place,))
        taken[target] = place


def _watch(service: Map, name: str, tree: Map, reading: Reading) -> None:
    develop = service.get("develop")
    for rule in maps(develop.get("watch")) if isinstance(develop, Map) else ():
        if not rule.get("target") and rule.get("action") not in ("rebuild", "restart"):
            reading.problem("target is required for non-rebuild actions", rule.origin, at=("develop", "watch"))


def _donor(service: Map, name: str, tree: Map, reading: Reading) -> None:
    mode = service.get("network_mode")
    every = tree["services"]
    if isinstance(mode, str) and mode.startswith("service:") and isinstance(every, Map):
        target = mode[len("service:") :]
        if target not in every:
            close = nearest(target, every)
            reading.problem(
                f'service "{target}" not found for network_mode',
                service.where("network_mode"),
                hint=f"did you mean {close!r}?" if close else None,
            )


CHECKS: tuple[Check, ...] = (_image, _build, _networks, _uses, _health, _scale, _targets, _watch, _donor)


def _depends(service: Map, every: Map, on: set[str], profiles_of: Callable[[Map], list[str]], reading: Reading) -> None:
    depends = service.get("depends_on")
    for name, dependency in depends.items() if isinstance(depends, Map) else ():
        if name in on or (name in every and isinstance(dependency, Map) and dependency.get("required") is False):
            continue
        mine = reading.path[1]
        origin = depends.place(name)[0] if isinstance(depends, Map) else None
        other = every.get(name)
        if isinstance(other, Map):
            profiles = ", ".join(profiles_of(other))
            reading.problem(
                f'service "{name}" is required by "{mine}" but is disabled', origin, hint=f"it can be enabled by profiles: {profiles}"
            )
        else:
            close = nearest(name, every)
            reading.problem(
                f'service "{mine}" depends on undefined service "{name}"', origin, hint=f"did you mean {close!r}?" if close else None
            )


def _cycle(every: Map, on: set[str], reading: Reading) -> None:
    """Report one dependency cycle, found without recursion."""
    done: set[str] = set()
    for start in sorted(on):
        stack: list[tuple[str, list[str]]] = [(start, _next(every, start, on))]
        path = dict.fromkeys([start])  # in order, and quick to ask
        while stack:
            name, rest = stack[-1]
            if not rest:
                done.add(name)
                stack.pop()
                path.popitem()
                continue
            other = rest.pop(0)
            if other in path:
                steps = list(path)
                cycle = [*steps[steps.index(other) :], other]
                service = every[other]
                origin = service.where("depends_on") if isinstance(service, Map) else None
                reading.problem(f"dependency cycle detected: {' -> '.join(cycle)}", origin, at=("services", other, "depends_on"))
                return
            if other not in done:
                stack.append((other, _next(every, other, on)))
                path[other] = None


def _next(every: Map, name: str, on: set[str]) -> list[str]:
    service = every.get(name)
    depends = service.get("depends_on") if isinstance(service, Map) else None
    return sorted(o for o in depends if o in on) if isinstance(depends, Map) else []


def _container_names(every: Map, on: set[str], reading: Reading) -> None:
    taken: dict[str, str] = {}
    for name in sorted(on):
        service = every[name]
        chosen = service.get("container_name") if isinstance(service, Map) else None
        if isinstance(service, Map) and isinstance(chosen, str) and chosen:
            if chosen in taken:
                message = f'container name "{chosen}" is already in use by service {taken[chosen]}'
                reading.problem(message, service.where("container_name"), at=("services", name))
            taken.setdefault(chosen, name)
