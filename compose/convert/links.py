"""``links`` and ``external_links``: names only the linking container knows, and the environment variables of old. Pure.

The variables are those Docker's legacy links set (docs.docker.com, "Legacy container links"): ``DB_PORT_5432_TCP_ADDR`` and friends. They are
made only where ``links`` or ``external_links`` are written; linked containers keep their address when they are replaced, so they stay true.
"""

from __future__ import annotations

from collections.abc import Iterator

from compose.convert.names import separator
from compose.convert.ports import exposed_ports
from compose.convert.surroundings import Surroundings
from compose.errors import PlanError
from compose.model import Service
from runtime.spec import ContainerSpec, LinkSpec


def link_specs(at: Surroundings, service: Service, *, one_off: bool = False) -> tuple[LinkSpec, ...]:
    """Every link: alias, ``service-n`` and the container's name for each container of the linked service, then external ones."""
    found = list(_service_links(at, service))
    if one_off:
        found += [
            LinkSpec(container=c.name, alias=a, service=service.name)
            for c in at.standing.get(service.name, ())
            for a in _own(at, service, c)
        ]
    for text in service.external_links:
        name, _, alias = text.partition(":")
        target = _external(at, service, name)
        found.append(LinkSpec(container=target.name if target else name, alias=alias or name))
    return tuple(dict.fromkeys(found))


def link_environment(at: Surroundings, service: Service, name: str) -> dict[str, str]:
    """The old variables of every link of the container ``name``."""
    variables: dict[str, str] = {}
    for alias, target, linked in _targets(at, service):
        variables |= _variables(at, alias, target, linked, name)
    return variables


def linked_services(service: Service) -> tuple[str, ...]:
    """Names of the services this one links to."""
    return tuple(link.partition(":")[0] for link in service.links)


def _service_links(at: Surroundings, service: Service) -> Iterator[LinkSpec]:
    dash = separator(at.compatibility)
    for text in service.links:
        linked, _, alias = text.partition(":")
        for number, spec in enumerate(at.standing.get(linked, ()), 1):
            for name in (alias or linked, f"{linked}{dash}{number}", spec.name):
                yield LinkSpec(container=spec.name, alias=name, service=linked)


def _own(at: Surroundings, service: Service, spec: ContainerSpec) -> tuple[str, str, str]:
    prefix = f"{at.project.name}{separator(at.compatibility)}"
    return (service.name, spec.name.removeprefix(prefix), spec.name)


def _external(at: Surroundings, service: Service, name: str) -> ContainerSpec | None:
    """None, with a warning, for a container that is not there: the alias is resolved when it is asked for, as Docker does it."""
    planned = (spec for specs in at.standing.values() for spec in specs if spec.name == name)
    if (found := next(planned, None)) is not None:
        return found
    try:
        return at.donor(f"container:{name}", "link")
    except PlanError:
        at.warn(f"services.{service.name}.external_links: no container {name} yet; its name resolves once it runs")
        return None


def _targets(at: Surroundings, service: Service) -> Iterator[tuple[str, ContainerSpec, Service | None]]:
    for text in service.links:
        linked, _, alias = text.partition(":")
        for spec in at.standing.get(linked, ())[:1]:
            yield alias or linked, spec, at.project.services.get(linked)
    for text in service.external_links:
        name, _, alias = text.partition(":")
        if (target := _external(at, service, name)) is not None:
            yield alias or name, target, None


def _variables(at: Surroundings, alias: str, target: ContainerSpec, linked: Service | None, name: str) -> dict[str, str]:
    prefix = alias.upper().replace("-", "_").replace(".", "_")
    address = next((e.ipv4 for e in target.endpoints if e.ipv4), None)
    variables = {f"{prefix}_NAME": f"/{name}/{alias}"}
    variables |= {f"{prefix}_ENV_{k}": v for k, v in target.environment.items() if v is not None and "_PORT_" not in k}
    ports = _ports(at, target, linked)
    for port in ports if address else ():
        number, _, protocol = port.partition("/")
        key, url = f"{prefix}_PORT_{number}_{protocol.upper()}", f"{protocol}://{address}:{number}"
        variables.setdefault(f"{prefix}_PORT", url)
        variables |= {key: url, f"{key}_ADDR": str(address), f"{key}_PORT": number, f"{key}_PROTO": protocol}
    return variables


def _ports(at: Surroundings, target: ContainerSpec, linked: Service | None) -> tuple[str, ...]:
    if linked is None:
        return tuple(f"{p.container_port}/{p.protocol}" for p in target.ports)
    image = at.image(linked)
    return exposed_ports(linked, image.config.exposed_ports if image else ())
