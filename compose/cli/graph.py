"""``graph``: what depends on what."""

from __future__ import annotations

import click

from compose.cli import output, project
from compose.cli.group import Command
from compose.cli.options import GlobalOptions


@click.command(cls=Command)
@click.option("--format", "form", type=click.Choice(["text", "dot", "mermaid"]), default="text", help="text, dot (Graphviz) or mermaid.")
@click.pass_obj
def graph(options: GlobalOptions, form: str) -> None:
    """Show what depends on what."""
    from compose import graph as graphs

    writers = {"text": graphs.as_text, "dot": graphs.as_dot, "mermaid": graphs.as_mermaid}
    output.data(writers[form](project.load(options)))
