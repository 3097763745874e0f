"""``attach``: the user's streams joined to those of a service's running container."""

from __future__ import annotations

import sys

import click

from compose.cli import output, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.cli.terminal import DEFAULT_DETACH_KEYS, DetachKeys

_SETTLE = 2.0


@click.command(cls=Command)
@click.argument("service")
@click.option("--detach-keys", default=DEFAULT_DETACH_KEYS, metavar="KEYS", help=f"Keys that detach (default {DEFAULT_DETACH_KEYS}).")
@click.option("--index", type=int, default=0, help="Number of the container, when the service has several.")
@click.option("--no-stdin", is_flag=True, help="Do not send input.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to the process (default true).")
@click.pass_obj
def attach(options: GlobalOptions, service: str, detach_keys: str, index: int, no_stdin: bool, sig_proxy: bool) -> int:
    """Attach local standard input, output, and error streams to a service's running container."""
    keys = DetachKeys.parse(detach_keys)
    state = project.one(options, service, index)
    if options.dry_run:
        return 0
    from compose.cli import streams
    from runtime.engine import access
    from runtime.errors import NotFound

    stdin = not no_stdin and state.spec.stdin_open and (sys.stdin.isatty() or not state.spec.tty)
    attachment = access.attach(state.spec.id)
    if not streams.join(state.spec.id, attachment, stdin=stdin, keys=keys, forward_signals=sig_proxy):
        output.note("read escape sequence")
        return 1
    try:  # its streams may end a little before its end is known
        return access.wait_for_end(state.spec.id, seconds=_SETTLE)
    except NotFound:  # removed at its end
        return 0
