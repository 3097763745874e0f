"""click, made lazy and made to speak Compose: commands by table, ``--flag=false``, unknown names with the nearest spelling."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime.record import dataclass

_TRUTH = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command lies ("module:attribute") and its line in the help; ``hidden`` ones work but are not listed."""

    target: str
    short_help: str
    hidden: bool = False


class Command(click.Command):
    """A command that takes ``--dry-run`` behind its name too and understands ``--flag=false`` and ``-x=value``."""

    def __init__(self, name: str | None, **attributes: Any) -> None:
        super().__init__(name, **attributes)
        if not any("--dry-run" in p.opts for p in self.params):
            self.params.append(_dry_run())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; spellings that pflag knows and click does not are rewritten first."""
        return super().parse_args(ctx, list(_pflag_spellings(self, args)))


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; its help needs the table alone."""

    command_class = Command

    def __init__(
        self,
        name: str | None = None,
        *,
        table: Mapping[str, Lazy] | None = None,
        ahead: Callable[[click.Context, str], None] = lambda _, __: None,
        **attributes: Any,
    ) -> None:
        """``ahead`` is called with a command's name before its module is imported."""
        super().__init__(name, **attributes)
        self.table = table or {}
        self.ahead = ahead

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names for help and completion."""
        return sorted(n for n, lazy in self.table.items() if not lazy.hidden)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        lazy = self.table.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        self.ahead(ctx, cmd_name)
        module, attribute = lazy.target.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that ``args`` begin with. Raises UsageError with the nearest name."""
        command = self.get_command(ctx, args[0])
        if command is None:
            known = [*self.list_commands(ctx), *self.commands]
            raise UsageError(f'unknown command "{args[0]}" for "{ctx.command_path}"', hint=nearest(args[0], known))
        return args[0], command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        rows = [(name, self.table[name].short_help) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def nearest(word: str, known: Sequence[str]) -> str | None:
    """A hint naming the closest known spelling, or None."""
    import difflib

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else None


def _dry_run() -> click.Option:
    text = "Say what would be done, change nothing."
    return click.Option(["--dry-run"], is_flag=True, expose_value=False, callback=_set_dry_run, help=text)


def _set_dry_run(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and isinstance(ctx.obj, GlobalOptions):
        ctx.obj = replace(ctx.obj, dry_run=True)


def _pflag_spellings(command: click.Command, args: Sequence[str]) -> Iterator[str]:
    options = {name: p for p in command.params if isinstance(p, click.Option) for name in (*p.opts, *p.secondary_opts)}
    rest = iter(args)
    for arg in rest:
        if arg == "--" or (not command.allow_interspersed_args and not arg.startswith("-")):
            yield arg
            yield from rest
            return
        yield from _respelled(arg, options)
        option = options.get(arg)
        if option is not None and not option.is_flag and not option.count:
            yield from [value for value in [next(rest, None)] if value is not None]


def _respelled(arg: str, options: Mapping[str, click.Option]) -> Iterator[str]:
    name, equals, value = arg.partition("=")
    option = options.get(name)
    if not equals or option is None:
        yield arg
    elif option.is_flag and value in _TRUTH:
        wanted = option.opts if _TRUTH[value] else option.secondary_opts
        yield from [max(wanted, key=len)] if wanted else []
    elif not name.startswith("--"):
        yield from (name, value)
    else:
        yield arg
