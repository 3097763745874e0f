"""``run``: one container of a service beside its replicas, with the user's terminal or pipes."""

from __future__ import annotations

import sys

import click

from compose.cli import output, project
from compose.cli.change import Change, carry_out
from compose.cli.converge import ignore_orphans, policy, remove_orphans
from compose.cli.exec import NO_TERMINAL, variables
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.cli.shortforms import env_files, labels, ports, volumes, words
from compose.errors import UsageError
from compose.intent import Run
from compose.model import Project
from compose.plan import Step
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags of ``run``, as said."""

    build: bool
    cap_add: tuple[str, ...]
    cap_drop: tuple[str, ...]
    detach: bool
    entrypoint: str | None
    environment: tuple[str, ...]
    env_from_file: tuple[str, ...]
    interactive: bool
    label: tuple[str, ...]
    name: str | None
    no_tty: bool
    no_deps: bool
    publish: tuple[str, ...]
    pull: str
    quiet: bool
    quiet_build: bool
    quiet_pull: bool
    remove_orphans: bool
    rm: bool
    service_ports: bool
    tty: bool
    use_aliases: bool
    user: str | None
    volume: tuple[str, ...]
    workdir: str | None


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@click.argument("service")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND] [ARGS...]")
@click.option("--build", is_flag=True, help="Build the image first.")
@click.option("--cap-add", multiple=True, metavar="NAME", help="Add capabilities.")
@click.option("--cap-drop", multiple=True, metavar="NAME", help="Drop capabilities.")
@click.option("-d", "--detach", is_flag=True, help="Run in the background and print the container's id.")
@click.option("--entrypoint", metavar="COMMAND", help="Another entrypoint than the image's.")
@click.option("-e", "--env", "environment", multiple=True, metavar="KEY=VALUE", help="Set environment variables.")
@click.option("--env-from-file", multiple=True, metavar="FILE", help="Set environment variables from files.")
@click.option("-i", "--interactive/--no-interactive", default=True, help="Keep standard input open (default true).")
@click.option("-l", "--label", multiple=True, metavar="KEY=VALUE", help="Add labels.")
@click.option("--name", metavar="NAME", help="The container's name.")
@click.option("-T", "--no-TTY", "--no-tty", "no_tty", is_flag=True, help="No terminal (by default there is one when ours is one).")
@click.option("--no-deps", is_flag=True, help="Leave dependencies alone.")
@click.option("-p", "--publish", multiple=True, metavar="PORT", help="Publish ports on the host.")
@click.option(
    "--pull", default="", metavar="POLICY", callback=lambda _, __, v: policy(v), help="always, missing, never or policy (default)."
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--quiet-build", is_flag=True, help="Do not show building.")
@click.option("--quiet-pull", is_flag=True, help="Do not show pulling.")
@click.option("--remove-orphans", is_flag=True, help="Remove containers of services that the project does not define.")
@click.option("--rm", is_flag=True, help="Remove the container when it ends.")
@click.option("-P", "--service-ports", is_flag=True, help="Publish the service's ports.")
@click.option("-t", "--tty", is_flag=True, hidden=True)
@click.option("--use-aliases", is_flag=True, help="Take the service's network aliases.")
@click.option("-u", "--user", metavar="USER", help="Run as this user.")
@click.option("-v", "--volume", "--volumes", "volume", multiple=True, metavar="VOLUME", help="Mount volumes or directories.")
@click.option("-w", "--workdir", metavar="DIRECTORY", help="Run in this directory.")
@click.pass_obj
def run(options: GlobalOptions, /, service: str, command: tuple[str, ...], **said: object) -> int:
    """Run a one-off command on a service."""
    flags = Flags(**said)  # type: ignore[arg-type]
    if flags.service_ports and flags.publish:
        raise UsageError("--service-ports and --publish are incompatible")
    defined = project.load(options)
    project.refuse_undefined([service], {**defined.services, **defined.disabled_services})
    terminal = _wants_terminal(flags)
    intent = _intent(options, defined, service, command, flags, terminal)
    change = Change(
        options=options,
        project=defined,
        intent=intent,
        title="run",
        quiet=flags.quiet,
        quiet_images=flags.quiet_build or flags.quiet_pull,
        muted=_is_ours,
    )
    if options.dry_run:
        carry_out(change)
        return 0
    from compose.cli import oneoff

    if flags.detach:
        output.data(oneoff.detached(change))
        return 0
    return oneoff.foreground(change, interactive=flags.interactive)


def _is_ours(step: Step) -> bool:
    """The one-off itself is not spoken of: its output follows."""
    return step.id.endswith(("-run.create", "-run.start"))


def _wants_terminal(flags: Flags) -> bool:
    """A terminal when ours is one on both ends, or when asked for. Raises UsageError when that cannot be."""
    if flags.no_tty or flags.detach:
        return flags.tty and not flags.no_tty
    if flags.tty and flags.interactive and not sys.stdin.isatty():
        raise UsageError(NO_TERMINAL, hint="leave -t out")
    return flags.tty or (sys.stdout.isatty() and sys.stdin.isatty())


def _intent(options: GlobalOptions, defined: Project, service: str, command: tuple[str, ...], flags: Flags, terminal: bool) -> Run:
    return Run(
        service=service,
        command=command or None,
        entrypoint=None if flags.entrypoint is None else words(flags.entrypoint),
        name=flags.name or "",
        environment={**env_files(flags.env_from_file), **variables(flags.environment)},
        labels=labels(flags.label),
        user=flags.user,
        working_dir=flags.workdir,
        volumes=volumes(flags.volume, defined.working_dir),
        publish=ports(flags.publish),
        service_ports=flags.service_ports,
        use_aliases=flags.use_aliases,
        cap_add=flags.cap_add,
        cap_drop=flags.cap_drop,
        tty=terminal,
        stdin_open=flags.interactive and not flags.detach,
        remove=flags.rm,
        no_deps=flags.no_deps,
        start=flags.detach,
        build=flags.build,
        pull=flags.pull,
        remove_orphans=flags.remove_orphans or remove_orphans(),
        ignore_orphans=ignore_orphans(),
        compatibility=options.compatibility,
    )
