"""``logs``."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence

import click

from compose.cli import listing, naming, output, project, times
from compose.cli.following import Following, label
from compose.cli.group import Command
from compose.cli.lines import Line, LinePrinter
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime import observe
from runtime.state import ContainerState

_FLUSH_EVERY = 1024


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("-f", "--follow", is_flag=True, help="Go on as output comes.")
@click.option("--index", type=int, default=0, help="Number of the container, when the service has several.")
@click.option("--no-color", is_flag=True, help="No colours.")
@click.option("--no-log-prefix", is_flag=True, help="No prefixes.")
@click.option("--since", default="", metavar="TIME", help="Begin at a date (2013-01-02T13:23:37Z), or so long ago (42m).")
@click.option("--until", default="", metavar="TIME", help="End at a date, or so long ago.")
@click.option("-n", "--tail", default="all", metavar="N", help="Lines from the end of each container's log.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line came.")
@click.pass_obj
def logs(
    options: GlobalOptions,
    services: tuple[str, ...],
    follow: bool,
    index: int,
    no_color: bool,
    no_log_prefix: bool,
    since: str,
    until: str,
    tail: str,
    timestamps: bool,
) -> None:
    """View output from containers."""
    states = _chosen(options, services, index)
    printer = LinePrinter(colour=not no_color, prefix=not no_log_prefix, timestamps=timestamps, split=False)
    for state in states:
        printer.register(state.spec.id, label(state))
    now = time.time_ns()
    first, last = times.moment(since, now) if since else 0, times.moment(until, now) if until else None
    lines = _tail(tail)
    stopped = [s for s in states if not (follow and s.running)]
    _print(printer, stopped, first, last, lines)
    if follow:
        ids = {s.spec.id for s in states}
        silent = frozenset() if services else _silent(options)
        following = Following(
            project=project.name(options),
            printer=printer,
            chosen=lambda s: listing.service(s) not in silent and _wanted(s, services, index, ids),
            since=first,
            until=last,
        )
        _follow(following, [s for s in states if s.running], lines)


def _chosen(options: GlobalOptions, services: Sequence[str], index: int) -> list[ContainerState]:
    states = project.containers(options, services, stopped=True)
    if index:
        states = [s for s in states if listing.number(s) == index]
        if not states:
            raise UsageError(f'service "{", ".join(services)}" has no container #{index}')
    silent = frozenset() if services else _silent(options)
    return [s for s in states if listing.service(s) not in silent]


def _silent(options: GlobalOptions) -> frozenset[str]:
    """``attach: false`` services are shown only when they are named; the file is loaded when it may hold such."""
    if not naming.mentions(options, "attach"):
        return frozenset()
    return frozenset(n for n, s in project.load(options).services.items() if not s.attach)


def _wanted(state: ContainerState, services: Sequence[str], index: int, ids: set[str]) -> bool:
    if listing.is_oneoff(state) or (index and listing.number(state) != index):
        return False
    return state.spec.id in ids or not services or listing.service(state) in services


def _print(printer: LinePrinter, states: Sequence[ContainerState], since: int, until: int | None, tail: int | None) -> None:
    """The lines of several containers, in the order of their arrival."""
    sources = [_lines(s, since, until, tail) for s in states]
    for count, (_, key, line) in enumerate(heapq.merge(*sources, key=lambda found: found[0])):
        printer.line(key, line)
        if count % _FLUSH_EVERY == 0:
            output.flush()
    for state in states:
        printer.finish(state.spec.id)
    output.flush()


def _lines(state: ContainerState, since: int, until: int | None, tail: int | None) -> Iterator[tuple[int, str, Line]]:
    for line in observe.logs(state.spec.project, state.spec.id, tail=tail, since=since, until=until):
        yield line.time_ns, state.spec.id, line


def _follow(following: Following, running: Sequence[ContainerState], tail: int | None) -> None:
    for state in running:
        following.add(state, tail=tail)
    until = following.until
    while following.live and (until is None or time.time_ns() <= until):
        following.advance()
    following.close()


def _tail(text: str) -> int | None:
    if text in ("all", "-1"):
        return None
    if not text.isdigit():
        raise UsageError(f"invalid --tail {text!r}", hint="a number of lines, or all")
    return int(text)
