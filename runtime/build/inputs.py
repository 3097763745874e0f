"""Trees of files that instructions read from: contexts, stages and images, by name. Pure data with views."""

from __future__ import annotations

from runtime.build.contents import Contents, place
from runtime.build.ignore import of_context
from runtime.build.view import View
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One tree. ``layers`` are directories, lowest first, for mounting; ``plain`` says that mounting shows exactly what the view shows.

    ``context`` is the name of the context it is ("" the build's own), None for stages, images and downloads.
    """

    title: str
    view: View
    layers: tuple[str, ...]
    contents: Contents
    plain: bool = True
    context: str | None = None


def of_directory(name: str, directory: str, dockerfile: str | None, cache: str) -> Input:
    """A context: a directory behind its ignore file, all of it root's."""
    rule, _ = of_context(directory, dockerfile)
    view = View([directory], hidden=rule.hidden if rule else None, may_hold=rule.may_hold if rule else None, owner=(0, 0))
    title = name or "context"
    return Input(title=title, view=view, layers=(directory,), contents=Contents(place(cache, directory)), plain=False, context=name)
