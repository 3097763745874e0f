"""``ls``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import click

from compose.cli import listing, output, table
from compose.cli.group import Command
from compose.errors import UsageError
from runtime import observe
from runtime.state import ContainerState


@click.command(cls=Command)
@click.option("-a", "--all", "everything", is_flag=True, help="Show stopped projects too.")
@click.option("--filter", "filters", multiple=True, metavar="FILTER", help="Filter by name (name=REGEX).")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="Format the output.")
@click.option("-q", "--quiet", is_flag=True, help="Only show names.")
def ls(everything: bool, filters: tuple[str, ...], form: str, quiet: bool) -> None:
    """List running projects."""
    patterns = [_name_filter(f) for f in filters]
    names = [p for p in observe.projects() if all(pattern.search(p) for pattern in patterns)]
    found = {n: [s for s in observe.containers(n) if everything or s.running] for n in names}
    rows = [_row(name, states) for name, states in found.items() if states]
    if quiet:
        output.write("".join(f"{r['Name']}\n" for r in rows))
    elif form == "json":
        output.data(table.as_json(rows))
    else:
        output.write(table.aligned([["NAME", "STATUS", "CONFIG FILES"], *(list(r.values()) for r in rows)], minimum=20))


def _row(name: str, states: Sequence[ContainerState]) -> dict[str, str]:
    counted = Counter(s.process.status.value for s in states)
    status = ", ".join(f"{status}({count})" for status, count in sorted(counted.items()))
    files = dict.fromkeys(f for s in states for f in s.spec.labels.get(listing.CONFIG_FILES, "").split(",") if f)
    return {"Name": name, "Status": status, "ConfigFiles": ",".join(files) or "N/A"}


def _name_filter(text: str) -> re.Pattern[str]:
    key, equals, value = text.partition("=")
    if key != "name" or not equals:
        raise UsageError(f"unknown filter {text}", hint="--filter name=web")
    try:
        return re.compile(value)
    except re.error as error:
        raise UsageError(f"filter {text}: {error}") from None
