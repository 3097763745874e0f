"""Which project a command is about, and which of its containers: loaded, named, or rebuilt from labels. In the command's process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from compose.cli import listing, naming
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime import observe
from runtime.state import ContainerState

if TYPE_CHECKING:
    from compose.model import Project


def load(options: GlobalOptions) -> Project:
    """Load the whole project and say the loader's warnings."""
    from compose.cli import output
    from compose.loader import LoadOptions
    from compose.loader import load as load_project

    project = load_project(
        LoadOptions(
            files=options.files,
            project_name=options.project_name,
            project_directory=options.project_directory,
            env_files=options.env_files,
            profiles=options.profiles,
            all_resources=options.all_resources,
            compatibility=options.compatibility,
        )
    )
    output.warn_all(project.warnings)
    return project


def name(options: GlobalOptions) -> str:
    """The project's name, by the cheapest way."""
    return naming.plain_name(options) or load(options).name


def known(options: GlobalOptions) -> Project:
    """The project as loaded or, with a name but no file, as its containers' labels tell it."""
    plain = naming.plain_name(options)
    if plain is not None and not naming.has_file(options):
        from compose.planner import project_from_snapshot

        return project_from_snapshot(observe.snapshot(plain))
    return load(options)


def containers(
    options: GlobalOptions, services: Sequence[str] = (), *, stopped: bool = False, oneoffs: bool = False
) -> list[ContainerState]:
    """The project's containers in the order of services and replicas. Raises UsageError for services that exist nowhere."""
    states = observe.containers(name(options))
    refuse_unknown(options, services, states)
    chosen = (s for s in states if (not services or listing.service(s) in services) and (oneoffs or not listing.is_oneoff(s)))
    return listing.by_number(s for s in chosen if stopped or s.running)


def refuse_unknown(options: GlobalOptions, services: Sequence[str], states: Iterable[ContainerState]) -> None:
    """Raise UsageError when a named service has no container and is not in the project's file either."""
    missing = [s for s in services if s not in {listing.service(c) for c in states}]
    if missing and naming.has_file(options):
        project = load(options)
        refuse_undefined(missing, {**project.services, **project.disabled_services})


def refuse_undefined(services: Iterable[str], defined: Mapping[str, object]) -> None:
    """Raise UsageError for the first service that is not defined, with the nearest that is."""
    from compose.cli.group import nearest

    for service in services:
        if service not in defined:
            raise UsageError(f"no such service: {service}", hint=nearest(service, list(defined)))


def one(options: GlobalOptions, service: str, index: int = 0, *, running: bool = True) -> ContainerState:
    """One container of a service: replica ``index`` or the lowest; a one-off only when no replica runs. Raises UsageError."""
    states = observe.containers(name(options))
    mine = listing.by_number(s for s in states if listing.service(s) == service and (s.running or not running))
    if index:
        mine = [s for s in mine if listing.number(s) == index and not listing.is_oneoff(s)]
    if mine:
        return mine[0]
    refuse_unknown(options, [service], states)
    what = f" container #{index}" if index else ""
    raise UsageError(f'service "{service}" is not running{what}', hint=f"pycompose up -d {service} starts it")
