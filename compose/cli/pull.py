"""``pull``: images of services."""

from __future__ import annotations

import click

from compose.cli import change, output, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import StepFailed
from compose.intent import Pull


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--ignore-buildable", is_flag=True, help="Leave images alone that can be built.")
@click.option("--ignore-pull-failures", is_flag=True, help="Pull what can be pulled; failures are warnings.")
@click.option("--include-deps", is_flag=True, help="Pull images of dependencies, too.")
@click.option("--policy", type=click.Choice(["missing", "always"]), help="What to pull.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--parallel/--no-parallel", hidden=True)
@click.pass_obj
def pull(
    options: GlobalOptions,
    services: tuple[str, ...],
    ignore_buildable: bool,
    ignore_pull_failures: bool,
    include_deps: bool,
    policy: str | None,
    quiet: bool,
    parallel: bool,
) -> None:
    """Pull service images."""
    defined = project.load(options)
    project.refuse_undefined(services, {**defined.services, **defined.disabled_services})
    intent = Pull(services=services, policy=policy or "", include_deps=include_deps, ignore_buildable=ignore_buildable)
    try:
        change.images(options, defined, intent, title="pull", quiet=quiet)
    except StepFailed as failure:
        if not ignore_pull_failures:
            raise
        output.warn(failure.message)
