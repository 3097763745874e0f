"""Flags that ``up``, ``create``, ``run`` and ``scale`` share, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from compose.errors import UsageError

_TRUE = ("1", "true", "t", "yes")


def converge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of ``up`` and ``create`` alike."""
    for option in reversed(_CONVERGE):
        command = option(command)
    return command


def scales(said: Sequence[str]) -> dict[str, int]:
    """``SERVICE=NUM`` entries. Raises UsageError."""
    return dict(_scale(text) for text in said)


def remove_orphans() -> bool:
    """COMPOSE_REMOVE_ORPHANS."""
    return os.environ.get("COMPOSE_REMOVE_ORPHANS", "").strip().lower() in _TRUE


def ignore_orphans() -> bool:
    """COMPOSE_IGNORE_ORPHANS."""
    return os.environ.get("COMPOSE_IGNORE_ORPHANS", "").strip().lower() in _TRUE


def _scale(text: str) -> tuple[str, int]:
    service, equals, count = text.partition("=")
    if not equals or not service:
        raise UsageError(f'invalid --scale option "{text}". Should be SERVICE=NUM')
    if not count.isdigit():
        raise UsageError(f'invalid --scale option "{text}": {count!r} is not a number of containers', hint=f"for example {service}=3")
    return service, int(count)


_CONVERGE = (
    click.option("--build", is_flag=True, help="Build images first."),
    click.option("--no-build", is_flag=True, help="Never build."),
    click.option("--force-recreate", is_flag=True, help="Recreate containers even when nothing has changed."),
    click.option("--no-recreate", is_flag=True, help="Leave existing containers as they are."),
    click.option(
        "--pull", default="", metavar="POLICY", callback=lambda _, __, v: policy(v), help="always, missing, never or policy (default)."
    ),
    click.option("--quiet-build", is_flag=True, help="Do not show building."),
    click.option("--quiet-pull", is_flag=True, help="Do not show pulling."),
    click.option("--remove-orphans", is_flag=True, help="Remove containers of services that the project does not define."),
    click.option("--scale", multiple=True, metavar="SERVICE=NUM", help="Run so many containers of a service."),
    click.option("-y", "--yes", is_flag=True, help="Answer every question with yes."),
)


def policy(text: str) -> str:
    """A ``--pull`` policy; "policy" is everybody's own. Raises UsageError."""
    known = ("always", "missing", "never", "if_not_present", "build", "policy", "")
    if text not in known:
        raise UsageError(f"invalid pull policy {text!r}", hint="always, missing, never or policy")
    return {"policy": "", "if_not_present": "missing"}.get(text, text)
