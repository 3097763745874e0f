"""The phase that reads ``env_file`` and ``label_file`` of the services that are wanted, and fills in variables that are passed through."""

from __future__ import annotations

from collections.abc import Mapping

from compose.errors import Problem
from compose.loader.dotenv import DotenvError, parse, parse_raw
from compose.schema.base import Locate
from compose.schema.tree import Map, Origin, Seq


def resolve(service: Map, name: str, project: Mapping[str, str], locate: Locate, read: Mapping[str, str] | None = None) -> list[Problem]:
    """Fold the files of one service into ``environment`` and ``labels``; the mistakes."""
    problems: list[Problem] = []
    own = service.get("environment")
    environment = own if isinstance(own, Map) else Map(service.origin)
    for key, value in environment.items():
        if value is None and key in project:
            environment[key] = project[key]
    files = service.get("env_file")
    found: dict[str, tuple[str, Origin | None]] = {}
    for item, origin in files.placed() if isinstance(files, Seq) else ():
        if isinstance(item, Map):
            problem = _env_file(item, origin, environment, project, found, locate)
            if problem is not None:
                problems.append(Problem(path=f"services.{name}.env_file", message=problem, position=locate(item.where("path"))))
    for key, (text, origin) in found.items():
        if key not in environment:
            environment.put(key, text, origin)
    if environment and own is None:
        service.put("environment", environment, service.origin)
    service.drop("env_file")
    problems += _labels(service, name, locate)
    return problems


def _env_file(
    item: Map,
    origin: Origin | None,
    environment: Map,
    project: Mapping[str, str],
    found: dict[str, tuple[str, Origin | None]],
    locate: Locate,
) -> str | None:
    path = str(item.get("path"))
    kind = item.get("format") or ""

    before = {key: value for key, (value, _) in found.items()}

    def lookup(name: str) -> str | None:
        if name in project:
            return project[name]
        value = environment.get(name)
        return value if isinstance(value, str) else None

    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        if kind not in ("", "raw"):
            return f"unsupported env_file format {kind!r} (only raw, or none)"
        values = parse_raw(text, lookup, before) if kind == "raw" else parse(text, lookup, None, before)
    except FileNotFoundError:
        return None if item.get("required") is False else f"env file {path} not found"
    except OSError as e:
        return f"env file {path} cannot be read: {e.strerror}"
    except DotenvError as e:
        return f"env file {path}:{e.line}: {e.message}"
    for key, value in values.items():
        found[key] = (value, origin)
    return None


def _labels(service: Map, name: str, locate: Locate) -> list[Problem]:
    files = service.get("label_file")
    if not isinstance(files, Seq):
        return []
    problems: list[Problem] = []
    own = service.get("labels")
    labels = own if isinstance(own, Map) else Map(files.origin)
    found: dict[str, tuple[str, Origin | None]] = {}
    for path, origin in files.placed():
        try:
            with open(str(path), encoding="utf-8", errors="surrogateescape") as file:
                values = parse(file.read(), lambda _: None)
        except OSError as e:
            problems.append(
                Problem(
                    path=f"services.{name}.label_file", message=f"label file {path} cannot be read: {e.strerror}", position=locate(origin)
                )
            )
            continue
        except DotenvError as e:
            problems.append(
                Problem(path=f"services.{name}.label_file", message=f"label file {path}:{e.line}: {e.message}", position=locate(origin))
            )
            continue
        found.update({key: (value, origin) for key, value in values.items()})
    for key, (text, origin) in found.items():
        if key not in labels:
            labels.put(key, text, origin)
    if labels and own is None:
        service.put("labels", labels, files.origin)
    service.drop("label_file")
    return problems
