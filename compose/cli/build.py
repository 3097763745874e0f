"""``build``: images of services, beside each other where nothing orders them. In the command's process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import click

from compose import build as builds
from compose.cli import output
from compose.cli.build_progress import BuildDisplay, of_service, opened
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.cli.project import load, refuse_undefined
from compose.errors import ComposeError, UsageError
from compose.model import Project
from runtime.engine.build import BuildEvent, BuildRequest, Builds, base_images, check, unchanged
from runtime.store import paths


@click.command("build", cls=Command)
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="Set build-time variables for services.")
@click.option("--builder", metavar="NAME", help="Accepted for compatibility: there is one builder.")
@click.option("--check", "only_check", is_flag=True, help="Check the Dockerfiles, build nothing.")
@click.option("-m", "--memory", metavar="BYTES", help="Memory limit of RUN steps.")
@click.option("--no-cache", is_flag=True, help="Do not use the cache.")
@click.option("--print", "only_print", is_flag=True, help="Print an equivalent bake file.")
@click.option("--provenance", metavar="VALUE", help="Accepted for compatibility: no attestations are made.")
@click.option("--pull", is_flag=True, help="Always attempt to pull a newer version of base images.")
@click.option("--push", is_flag=True, help="Push the images.")
@click.option("-q", "--quiet", is_flag=True, help="Suppress the build output.")
@click.option("--sbom", metavar="VALUE", help="Accepted for compatibility: no attestations are made.")
@click.option(
    "--ssh", multiple=True, metavar="ID[=PATH]", help="SSH agent sockets or keys for RUN --mount=type=ssh ('default': your agent)."
)
@click.option("--with-dependencies", is_flag=True, help="Also build dependencies (transitively).")
@click.option("--compress", is_flag=True, hidden=True)
@click.option("--force-rm", is_flag=True, hidden=True)
@click.option("--no-rm", is_flag=True, hidden=True)
@click.option("--parallel", is_flag=True, hidden=True)
@click.option("--progress", type=click.Choice(["auto", "tty", "plain", "json", "quiet"]), hidden=True)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.pass_obj
def build(options: GlobalOptions, /, services: tuple[str, ...], **said: object) -> None:
    """Build or rebuild services."""
    import dataclasses

    if said["progress"]:
        options = dataclasses.replace(options, progress=said["progress"])  # type: ignore[arg-type]
    project = load(options)
    refuse_undefined(services, {**project.services, **project.disabled_services})
    requests = _requests(project, _chosen(project, services, dependencies=bool(said["with_dependencies"])), said)
    if not requests:
        if not said["quiet"]:
            output.note("No services to build")
        return
    _refuse_attestations(said)
    if said["only_print"]:
        output.data(builds.bake(requests))
    elif said["only_check"]:
        _check(requests)
    elif options.dry_run:
        for name in requests:
            output.note(f" DRY-RUN MODE -  {requests[name].references[0]}  Built")
    else:
        run(options, requests, quiet=bool(said["quiet"]))
        if said["push"]:
            _push(options, requests)


def run(options: GlobalOptions, requests: Mapping[str, BuildRequest], *, quiet: bool = False) -> None:
    """Build everything, and say what was built. Raises BuildError and its like; the others are cancelled then."""
    display = opened(options, quiet=quiet)
    try:
        if not _nothing_changed(requests, display):
            import anyio

            anyio.run(_build_all, requests, _order(requests), display, len(requests) > 1)
    finally:
        display.close()
    if not quiet:
        for name in sorted(requests, key=lambda n: requests[n].references[0]):
            output.note(f" {requests[name].references[0]}  Built")


def _nothing_changed(requests: Mapping[str, BuildRequest], display: BuildDisplay) -> bool:
    """Whether every image is there as it would be built; then their steps are told, and no event loop was needed."""
    told: list[tuple[str, BuildEvent]] = []
    for name, request in requests.items():
        service = name if len(requests) > 1 else ""
        if unchanged(paths(), request, lambda event, service=service: told.append((service, event))) is None:  # type: ignore[misc]
            return False
    for service, event in told:
        display.show(service, event)
    return True


async def _build_all(requests: Mapping[str, BuildRequest], order: Mapping[str, set[str]], display: BuildDisplay, several: bool) -> None:
    import anyio

    done = {name: anyio.Event() for name in requests}
    engine = Builds(paths())
    failures: list[Exception] = []

    async def one(name: str) -> None:
        for other in order[name]:
            await done[other].wait()
        try:
            await engine.build(requests[name], of_service(display, name if several else ""))
        except Exception as error:
            failures.append(error)
            group.cancel_scope.cancel()
        done[name].set()

    async with anyio.create_task_group() as group:
        for name in requests:
            group.start_soon(one, name)
    if failures:
        raise failures[0]


def _order(requests: Mapping[str, BuildRequest]) -> dict[str, set[str]]:
    """For each service those whose image it needs: as a further context or in FROM. Raises ComposeError for a circle."""
    makers = {reference: name for name, request in requests.items() for reference in request.references}
    order: dict[str, set[str]] = {}
    for name, request in requests.items():
        used = {value.removeprefix("docker-image://") for value in request.contexts.values()} | base_images(request)
        order[name] = {makers[reference] for reference in used if makers.get(reference, name) != name}
    try:
        TopologicalSorter(order).prepare()
    except CycleError as error:
        raise ComposeError(f"services need each other's images: {' → '.join(error.args[1])}") from None
    return order


def _chosen(project: Project, services: Sequence[str], *, dependencies: bool) -> list[str]:
    """Services with a build among those named (or all), with those whose images they use as contexts, and on request what they depend on."""
    known = {**project.disabled_services, **project.services}
    wanted = dict.fromkeys(services or project.services)
    pending = list(wanted)
    while pending:
        service = known[pending.pop(0)]
        contexts = service.build.additional_contexts.values() if service.build else ()
        further = [value.removeprefix("service:") for value in contexts if value.startswith("service:")]
        further += list(service.depends_on) if dependencies else []
        for name in further:
            if name in known and name not in wanted:
                wanted[name] = None
                pending.append(name)
    return [name for name in known if name in wanted and known[name].build is not None]


def _requests(project: Project, names: Sequence[str], said: Mapping[str, object]) -> dict[str, BuildRequest]:
    known = {**project.disabled_services, **project.services}
    options = builds.BuildOptions(
        arguments=_pairs(said["arguments"]),
        no_cache=bool(said["no_cache"]),
        pull=bool(said["pull"]),
        ssh={name: value or "" for name, value in _pairs(said["ssh"]).items()},
        memory=_bytes(said["memory"]),
    )
    found = {}
    for name in names:
        service = known[name]
        if service.build is not None:
            found[name] = builds.request(project, service, service.build, options)
    return found


def _pairs(words: object) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for word in words if isinstance(words, tuple) else ():
        name, equals, value = str(word).partition("=")
        found[name] = value if equals else None
    return found


def _bytes(text: object) -> int | None:
    if not text:
        return None
    import re

    match = re.fullmatch(r"(\d+)([bkmg]?)b?", str(text).lower())
    if match is None:
        raise UsageError(f"invalid --memory: {text!r}", hint="write 512m or 2g")
    return int(match[1]) << {"": 0, "b": 0, "k": 10, "m": 20, "g": 30}[match[2]]


def _refuse_attestations(said: Mapping[str, object]) -> None:
    for name in ("provenance", "sbom"):
        value = str(said[name] or "false").lower()
        if value not in ("false", "0", "disabled"):
            output.warn(f"--{name}: attestations are not made; the image is built without")


def _check(requests: Mapping[str, BuildRequest]) -> None:
    found = 0
    for name, request in requests.items():
        warnings = check(request)
        found += len(warnings)
        output.data(name)
        output.data("")
        for warning in warnings:
            output.data(f"WARNING: {warning.rule} (line {warning.line})\n{warning.message}\n")
        count = (
            f"{len(warnings)} {'warning has' if len(warnings) == 1 else 'warnings have'} been found!" if warnings else "no warnings found."
        )
        output.data(f"Check complete, {count}")
    if found:
        raise ComposeError(f"{found} {'warning' if found == 1 else 'warnings'} in the Dockerfiles")


def _push(options: GlobalOptions, requests: Mapping[str, BuildRequest]) -> None:
    from runtime.engine.build import push

    for request in requests.values():
        for reference in request.references:
            push(paths(), reference)
            output.note(f" {reference}  Pushed")
