"""From options to a ``Project``: discovers, loads the layers, then runs the phases on the whole. Runs in the command's process."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from compose.errors import LoadError, Problem
from compose.loader import consistency
from compose.loader.discover import Place, directory_name, discover, normalized
from compose.loader.document import read
from compose.loader.environment import resolve
from compose.loader.layers import Layers, Workspace, pass_through, refuse
from compose.loader.normalize import defaults, externals, filled, normalize
from compose.loader.options import LoadOptions
from compose.loader.paths import Paths
from compose.loader.select import closure, drop_missing, enabled, needed, profiles_of, refuse_unknown
from compose.loader.template import InvalidTemplate, MissingVariable, substitute
from compose.schema.tree import Map
from runtime.record import dataclass

if TYPE_CHECKING:
    from compose.model import Project


@dataclass(slots=True)
class Loaded:
    """A load before it becomes a Project: the canonical tree, where it came from, which services are on."""

    tree: Map
    place: Place
    name: str
    work: Workspace
    profiles: tuple[str, ...]
    on: set[str]


def load(options: LoadOptions | None = None) -> Project:
    """Load a project. Raises LoadError with every mistake that was found."""
    loaded = load_tree(options or LoadOptions())
    return project(loaded)


def project(loaded: Loaded) -> Project:
    """The model of a loaded tree."""
    from compose.loader import bind
    from compose.model import Project

    tree, place = loaded.tree, loaded.place
    services = tree.get("services")
    every = set(services) if isinstance(services, Map) else set()
    return Project(
        name=loaded.name,
        working_dir=place.directory,
        files=tuple(place.files),
        env_files=tuple(place.env_files),
        services=bind.without_missing(bind.services(tree, loaded.on)),
        disabled_services=bind.services(tree, every - loaded.on),
        networks=bind.networks(tree),
        volumes=bind.volumes(tree),
        configs=bind.file_sources(tree, "configs", place.environment),
        secrets=bind.file_sources(tree, "secrets", place.environment),
        models=bind.models(tree),
        profiles=loaded.profiles,
        environment=place.environment,
        extensions={key: value for key, value in tree.items() if key[:2] == "x-"},
        warnings=tuple(loaded.work.warnings),
        raw=tree,
    )


def load_tree(options: LoadOptions) -> Loaded:
    """Everything up to the model. Raises LoadError."""
    collecting = gc.isenabled()
    gc.disable()  # a load makes many objects and no garbage: the collector would only walk them again and again
    try:
        return _load_tree(options)
    finally:
        if collecting:
            gc.enable()


def _load_tree(options: LoadOptions) -> Loaded:
    place = discover(options)
    work = Workspace(options)
    work.warnings += place.warnings
    name = _name(place, work, options)
    place.environment["COMPOSE_PROJECT_NAME"] = name
    place.sources["COMPOSE_PROJECT_NAME"] = "the project's name"
    tree = Layers(work, place.environment, place.directory).load(place.files)
    profiles = options.profiles or tuple(p.strip() for p in place.environment.get("COMPOSE_PROFILES", "").split(",") if p.strip())
    loaded = Loaded(tree, place, name, work, profiles, set())
    _finish(loaded, options)
    return loaded


def _name(place: Place, work: Workspace, options: LoadOptions) -> str:
    """The project's name: given, the files', the directory's."""
    if place.name:
        return place.name
    found = ""
    for file in place.files:
        text = work.text(file)
        if "name" in text:
            for document in read(text, file, work.sources):
                value = document.tree.get("name")
                found = str(value) if isinstance(value, (str, int)) else found
    written = bool(found)
    if found and options.interpolate:
        try:
            found = substitute(found, place.environment.get, work.unset)
        except (InvalidTemplate, MissingVariable) as e:
            raise LoadError(Problem(path="name", message=str(e))) from None
    name = normalized(found) if written else directory_name(place)
    if not name:
        hint = "the directory's name has no letters or digits; set name: in the file, or use -p"
        raise LoadError(Problem(path="name", message="project name must not be empty", hint=hint))
    return name


def _finish(loaded: Loaded, options: LoadOptions) -> None:
    """The phases on the whole tree."""
    tree, place, work = loaded.tree, loaded.place, loaded.work
    reading = work.reading()
    externals(tree, reading)
    consistency.forms(tree, reading)
    for warning in reading.warnings:
        work.warn(warning)
    refuse(reading.problems)
    if options.normalize or not options.as_written:
        tree.put("name", loaded.name, tree.where("name"))
    defaults(tree, as_written=options.as_written)
    if options.resolve_paths:
        Paths(place.directory, work.home).project(tree)
    if options.resolve_environment:
        pass_through(tree, place.environment)
    if options.normalize:
        normalize(tree, loaded.name, place.environment)
    elif not options.as_written:
        filled(tree)
    services = tree.get("services")
    if not isinstance(services, Map):
        services = Map(tree.origin)
        tree.put("services", services, tree.origin)
    _select(loaded, services, options)


def _select(loaded: Loaded, services: Map, options: LoadOptions) -> None:
    refuse_unknown(services, options.services)
    tree, work = loaded.tree, loaded.work
    on = enabled(services, loaded.profiles, options.services)
    if options.services:
        drop_missing(services, on)
    reading = work.reading()
    if options.consistency:
        consistency.services(tree, on, profiles_of, reading)
        refuse(reading.problems)
    if options.services:
        on = closure(services, options.services) if options.with_dependencies else set(options.services)
    problems: list[Problem] = []
    if options.resolve_environment:
        for name in sorted(on):
            service = services[name]
            if isinstance(service, Map):
                problems += resolve(service, name, loaded.place.environment, work.sources.locate)
    refuse(problems)
    if not options.all_resources:
        needed(tree, services, on)
    loaded.on = on


__all__ = ["Loaded", "load", "load_tree", "project"]
