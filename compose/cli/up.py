"""``up``: its flags, which of them go together, and whether the command stays attached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from compose.cli import project
from compose.cli.change import Change, carry_out
from compose.cli.converge import converge_options, ignore_orphans, remove_orphans, scales
from compose.cli.group import Command
from compose.cli.lifecycle import seconds
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from compose.intent import Up
from compose.model import Project
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags of ``up``, as said."""

    abort_on_container_exit: bool
    abort_on_container_failure: bool
    always_recreate_deps: bool
    attach: tuple[str, ...]
    attach_dependencies: bool
    build: bool
    detach: bool
    exit_code_from: str | None
    force_recreate: bool
    menu: bool
    no_attach: tuple[str, ...]
    no_build: bool
    no_color: bool
    no_deps: bool
    no_log_prefix: bool
    no_recreate: bool
    no_start: bool
    pull: str
    quiet_build: bool
    quiet_pull: bool
    remove_orphans: bool
    renew_anon_volumes: bool
    scale: tuple[str, ...]
    timeout: int | None
    timestamps: bool
    wait: bool
    wait_timeout: int | None
    watch: bool
    yes: bool

    @property
    def aborts(self) -> bool:
        """Whether the end of one container ends all."""
        return self.abort_on_container_exit or self.abort_on_container_failure or self.exit_code_from is not None

    @property
    def attached(self) -> bool:
        """Whether the command stays and shows output."""
        return not (self.detach or self.wait or self.no_start)


def _flag(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(*name.split("/"), is_flag=True, help=text)


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@converge_options
@_flag("--abort-on-container-exit", "Stop all containers when one stops. Not with -d.")
@_flag("--abort-on-container-failure", "Stop all containers when one fails. Not with -d.")
@_flag("--always-recreate-deps", "Recreate dependencies, too. Not with --no-recreate.")
@click.option("--attach", multiple=True, metavar="SERVICE", help="Show the output of these services only.")
@_flag("--attach-dependencies", "Show the output of dependencies, too.")
@_flag("-d/--detach", "Run containers in the background.")
@click.option("--exit-code-from", metavar="SERVICE", help="End with this service's exit code. Implies --abort-on-container-exit.")
@click.option("--menu/--no-menu", default=False, hidden=True)
@click.option("--no-attach", multiple=True, metavar="SERVICE", help="Do not show the output of these services.")
@_flag("--no-color", "No colours.")
@_flag("--no-deps", "Leave dependencies alone.")
@_flag("--no-log-prefix", "No prefixes.")
@_flag("--no-start", "Create, but do not start.")
@_flag("-V/--renew-anon-volumes", "Make anonymous volumes anew.")
@click.option("-t", "--timeout", type=int, metavar="SECONDS", help="Time between the stop signal and SIGKILL.")
@_flag("--timestamps", "Show when each line came.")
@_flag("--wait", "Wait until services are running or healthy. Implies -d.")
@click.option("--wait-timeout", type=int, metavar="SECONDS", help="Wait at most so long.")
@_flag("-w/--watch", "Rebuild and refresh containers when files change.")
@click.pass_obj
def up(options: GlobalOptions, /, services: tuple[str, ...], **said: object) -> int:
    """Create and start containers."""
    flags = Flags(**said)  # type: ignore[arg-type]
    refuse(flags)
    defined = project.load(options)
    if flags.exit_code_from is not None:
        _refuse_code_from(defined, services, flags.exit_code_from)
    change = Change(
        options=options,
        project=defined,
        intent=intent(flags, services, options),
        title="up",
        quiet_images=flags.quiet_build or flags.quiet_pull,
    )
    if options.dry_run or not flags.attached:
        carry_out(change)
        return 0
    return _attached(change, flags, defined, services)


def intent(flags: Flags, services: tuple[str, ...], options: GlobalOptions) -> Up:
    """What the planner is asked for."""
    return Up(
        services=services,
        build=flags.build,
        no_build=flags.no_build,
        pull=flags.pull,
        force_recreate=flags.force_recreate,
        no_recreate=flags.no_recreate,
        always_recreate_deps=flags.always_recreate_deps,
        renew_anon_volumes=flags.renew_anon_volumes,
        no_deps=flags.no_deps,
        scale=scales(flags.scale),
        remove_orphans=flags.remove_orphans or remove_orphans(),
        ignore_orphans=ignore_orphans(),
        timeout=seconds(flags.timeout),
        wait=flags.wait,
        wait_timeout=seconds(flags.wait_timeout) or None,
        no_start=flags.no_start,
        yes=flags.yes,
        compatibility=options.compatibility,
    )


def refuse(flags: Flags) -> None:
    """Raise UsageError for flags that contradict each other."""
    clashes = (
        (flags.build and flags.no_build, "--build and --no-build are incompatible"),
        (flags.force_recreate and flags.no_recreate, "--force-recreate and --no-recreate are incompatible"),
        (flags.always_recreate_deps and flags.no_recreate, "--always-recreate-deps and --no-recreate are incompatible"),
        (flags.no_recreate and flags.renew_anon_volumes, "--no-recreate and --renew-anon-volumes are incompatible"),
        (flags.attach and flags.attach_dependencies, "cannot combine --attach and --attach-dependencies"),
        (
            flags.wait and (flags.aborts or flags.attach or flags.attach_dependencies),
            "--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies",
        ),
        (
            flags.detach and (flags.aborts or flags.attach or flags.attach_dependencies or flags.watch),
            "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, "
            "--attach-dependencies or --watch",
        ),
        (flags.wait and flags.watch, "--wait cannot be combined with --watch"),
        (flags.watch and flags.no_build, "--watch and --no-build are incompatible"),
        (flags.no_start and flags.wait, "--no-start and --wait are incompatible"),
    )
    for clash, message in clashes:
        if clash:
            raise UsageError(message)


def _refuse_code_from(defined: Project, services: tuple[str, ...], name: str) -> None:
    """Raise UsageError for a service that is not part of this ``up``: it has no exit code to end with."""
    from compose import graph

    project.refuse_undefined([name], {**defined.services, **defined.disabled_services})
    enabled = graph.enable(defined, services)
    if name not in (graph.closure(enabled, services) if services else enabled.services):
        raise UsageError(f"no such service: {name}: disabled", hint=f"name it too: it is not started by `up {' '.join(services)}`")


def _attached(change: Change, flags: Flags, defined: Project, services: tuple[str, ...]) -> int:
    from compose.cli.attached import Attached, Selection
    from compose.cli.lines import LinePrinter

    printer = LinePrinter(colour=not flags.no_color, prefix=not flags.no_log_prefix, timestamps=flags.timestamps, split=True)
    selection = Selection.of(defined, services, attach=flags.attach, no_attach=flags.no_attach, with_dependencies=flags.attach_dependencies)
    attached = Attached(
        change,
        printer,
        selection,
        abort_on_exit=flags.abort_on_container_exit or flags.exit_code_from is not None,
        abort_on_failure=flags.abort_on_container_failure,
        exit_code_from=flags.exit_code_from,
        timeout=seconds(flags.timeout),
    )
    if flags.watch:
        from compose.cli.watch import beside

        with beside(change.options, defined, services):
            return attached.run()
    return attached.run()
