"""What ``config`` prints: a project's canonical document in the reference's order, as YAML or JSON, dollars doubled. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from compose.errors import ComposeError
from compose.render_yaml import Plain, write
from compose.schema.order import ordered
from compose.schema.project import PROJECT
from compose.schema.tree import Map, Seq

_YAML_ORDER = ("name", "services", "networks", "volumes", "secrets", "configs", "models")
_JSON_ORDER = ("configs", "name", "networks", "secrets", "services", "volumes")


def document(tree: Map, services: Iterable[str], *, as_json: bool = False) -> dict[str, Plain]:
    """The document as plain values, with the services named."""
    wanted = set(services)
    shown: dict[str, Plain] = {}
    for section in _JSON_ORDER if as_json else _YAML_ORDER:
        value = tree.get(section)
        if section == "services":
            kind = PROJECT.by_name["services"].type
            chosen = Map()
            for key in value if isinstance(value, Map) else ():
                if key in wanted:
                    chosen[key] = value[key]  # type: ignore[index, call-overload]
            shown[section] = kind.show(chosen, as_json) if as_json else _loadable(kind.show(chosen, as_json))
        elif value:
            shown[section] = PROJECT.by_name[section].type.show(value, as_json)
    for key in ordered((k for k in tree if k[:2] == "x-"), as_json):
        shown[key] = plain(tree[key], as_json)
    return dict(sorted(shown.items())) if as_json else shown


def _loadable(services: Plain) -> Plain:
    """Without optional dependencies on services that are not shown: a file that has them is refused."""
    shown = services if isinstance(services, dict) else {}
    for service in shown.values():
        depends = service.get("depends_on") if isinstance(service, dict) else None
        if isinstance(service, dict) and isinstance(depends, dict):
            for name in [n for n, d in depends.items() if n not in shown and isinstance(d, dict) and d.get("required") is False]:
                del depends[name]
            if not depends:
                del service["depends_on"]
    return services


def plain(value: object, as_json: bool) -> Plain:
    """A value of no declared type."""
    if isinstance(value, Map):
        return {k: plain(value[k], as_json) for k in ordered(value, as_json)}
    if isinstance(value, Seq):
        return [plain(v, as_json) for v in value]
    return value  # type: ignore[return-value]


def as_yaml(shown: dict[str, Plain], *, escape: bool = True) -> str:
    """YAML text; ``escape`` doubles the dollars of values, so that it reads back as it was. (In keys a dollar is one.)"""
    return write(shown, escape=escape)


def as_json(shown: dict[str, Plain], *, escape: bool = True) -> str:
    """JSON text, as Go writes it. Raises ComposeError for what has no JSON form."""
    services = shown.get("services")
    for name, service in services.items() if isinstance(services, dict) else ():
        build = service.get("build") if isinstance(service, dict) else None
        keys = build.get("ssh") if isinstance(build, dict) else None
        if any("=" in str(key) for key in (keys if isinstance(keys, list) else ())):
            raise ComposeError(f"services.{name}.build.ssh: a key with a path has no JSON form", hint="use --format yaml")
    from compose import render_json

    text = render_json.write(shown)
    return text.replace("$", "$$") if escape else text


def as_written(tree: Map, *, as_json: bool = False) -> dict[str, Plain]:
    """The whole of a tree that was not interpreted, every mapping sorted."""
    return {key: plain(tree[key], as_json) for key in ordered(tree, as_json)}
