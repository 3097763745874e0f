"""The phase that decides which services are on: by profiles, by name, with what they depend on; and which resources those need."""

from __future__ import annotations

from collections.abc import Iterable

from compose.errors import LoadError, Problem
from compose.schema.base import nearest
from compose.schema.tree import Map, Seq


def profiles_of(service: Map) -> list[str]:
    """The profiles that a service names."""
    value = service.get("profiles")
    return [str(p) for p in value] if isinstance(value, Seq) else []


def enabled(services: Map, profiles: Iterable[str], named: Iterable[str]) -> set[str]:
    """Names of the services that are on: without profiles, with an active one, or named on the command line (with their profiles)."""
    active = set(profiles) or {""}  # an empty name is what an unset COMPOSE_PROFILES names
    for name in named:
        service = services.get(name)
        if isinstance(service, Map):
            active.update(profiles_of(service))
    result = set(named)
    for name, service in services.items():
        mine = profiles_of(service) if isinstance(service, Map) else []
        if not mine or "*" in active or active.intersection(mine):
            result.add(name)
    return result


def closure(services: Map, names: Iterable[str]) -> set[str]:
    """``names`` and everything that they depend on."""
    result: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        service = services.get(name)
        if name in result or not isinstance(service, Map):
            continue
        result.add(name)
        depends = service.get("depends_on")
        waiting.extend(depends if isinstance(depends, Map) else ())
    return result


def in_order(services: object, on: set[str]) -> list[str]:
    """The services that are on: by name, but each after what it depends on."""
    result: dict[str, None] = {}
    waiting = sorted(on, reverse=True)
    opened: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in opened:
            result.setdefault(name)
            continue
        opened.add(name)
        service = services.get(name) if isinstance(services, Map) else None
        depends = service.get("depends_on") if isinstance(service, Map) else None
        others = [o for o in depends if o in on and o not in opened] if isinstance(depends, Map) else []
        waiting += [name, *sorted(others, reverse=True)]
    return list(result)


def refuse_unknown(services: Map, names: Iterable[str]) -> None:
    """Raise LoadError for names that are no services."""
    problems = []
    for name in names:
        if name not in services:
            close = nearest(name, services)
            hint = f"did you mean {close!r}?" if close else f"services are: {', '.join(sorted(services))}" if services else None
            problems.append(Problem(path="", message=f"no such service: {name}", hint=hint))
    if problems:
        raise LoadError(*problems)


def drop_missing(services: Map, on: set[str]) -> None:
    """Forget dependencies that are optional and not there."""
    for name in on:
        service = services[name]
        depends = service.get("depends_on") if isinstance(service, Map) else None
        if isinstance(depends, Map):
            for other in [
                o for o, d in depends.items() if o not in on and o in services and isinstance(d, Map) and d.get("required") is False
            ]:
                depends.drop(other)
            if not depends and isinstance(service, Map):
                service.drop("depends_on")


def needed(tree: Map, services: Map, on: set[str]) -> None:
    """Leave out networks, volumes, secrets, configs and models that no service in ``on`` uses."""
    used: dict[str, set[str]] = {section: set() for section in ("networks", "volumes", "secrets", "configs", "models")}
    for name in on:
        service = services[name]
        if not isinstance(service, Map):
            continue
        for section in ("networks", "models"):
            value = service.get(section)
            used[section].update(value if isinstance(value, Map) else ())
        for mount in _maps(service.get("volumes")):
            if mount.get("type") == "volume" and mount.get("source"):
                used["volumes"].add(str(mount["source"]))
        for section in ("secrets", "configs"):
            used[section].update(str(item.get("source")) for item in _maps(service.get(section)))
        build = service.get("build")
        if isinstance(build, Map):
            used["secrets"].update(str(item.get("source")) for item in _maps(build.get("secrets")))
    for section, names in used.items():
        resources = tree.get(section)
        if isinstance(resources, Map):
            for key in [k for k in resources if k not in names]:
                resources.drop(key)


def _maps(value: object) -> list[Map]:
    return [item for item in value if isinstance(item, Map)] if isinstance(value, Seq) else []
