"""``login`` and ``logout``."""

from __future__ import annotations

import sys

import click

from compose.cli import output
from compose.cli.group import Command
from compose.errors import UsageError


@click.command(cls=Command)
@click.argument("registry", default="", metavar="[SERVER]")
@click.option("-u", "--username", default="", metavar="USER", help="User name.")
@click.option("-p", "--password", default="", metavar="PASSWORD", help="Password or token (better: --password-stdin).")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
def login(registry: str, username: str, password: str, password_stdin: bool) -> None:
    """Log in to a registry; no SERVER is Docker Hub."""
    from runtime.engine import images

    if password and password_stdin:
        raise UsageError("--password and --password-stdin are mutually exclusive")
    if password_stdin and not username:
        raise UsageError("Must provide --username with --password-stdin")
    if password:
        output.warn("using --password is insecure: others see it in the process list; use --password-stdin")
    secret = sys.stdin.read().rstrip("\r\n") if password_stdin else password
    user = username or _ask("Username", images.known_user(registry))
    kept = images.login(registry, user, secret or _ask_secret())
    if "/" in kept:
        output.warn(f"your password is kept unencrypted in {kept}; a credential helper (credsStore) would encrypt it")
    output.data("Login Succeeded")


@click.command(cls=Command)
@click.argument("registry", default="", metavar="[SERVER]")
def logout(registry: str) -> None:
    """Log out from a registry; no SERVER is Docker Hub."""
    from runtime.engine import images

    shown = registry or "Docker Hub"
    if images.logout(registry):
        output.data(f"Removing login credentials for {shown}")
    else:
        output.data(f"Not logged in to {shown}")


def _ask(what: str, known: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError("cannot ask for a user name: stdin is no terminal", hint="use --username and --password-stdin")
    answer: str = click.prompt(what, default=known or None, err=True)
    return answer


def _ask_secret() -> str:
    if not sys.stdin.isatty():
        raise UsageError("cannot ask for a password: stdin is no terminal", hint="use --password-stdin")
    answer: str = click.prompt("Password", hide_input=True, err=True)
    return answer
