"""Tells where a value comes from: the file and line that won, what it overrode, and which variables went into it. Pure; for ``config --explain``."""

from __future__ import annotations

from compose.errors import UsageError
from compose.loader.project import Loaded
from compose.render import plain
from compose.render_yaml import quoted, write
from compose.schema.base import nearest
from compose.schema.tree import Map, Origin, Seq, Value

_LONGEST = 12


def explain(loaded: Loaded, path: str) -> str:
    """Lines about the value at ``path`` (``services.web.ports[0]``). Raises UsageError when nothing is there."""
    value, origin, steps = find(loaded.tree, path)
    derived = not isinstance(value, (Map, Seq)) and isinstance(getattr(origin, "value", None), list)
    lines = [f"{path}:{_shown(value)}", *_place(loaded, origin, "added by Compose's rules, for what stands at" if derived else "set by")]
    lines += _variables(loaded, origin)
    history = loaded.work.history
    for before, old in reversed(history.overridden.get(".".join(steps), []) if history else []):
        lines += [f"  overrides{_shown(old)}", *_place(loaded, before, "  from"), *_variables(loaded, before)]
    if isinstance(value, Map):
        lines += _inside(loaded, value, steps)
    return "\n".join(lines) + "\n"


def find(tree: Map, path: str) -> tuple[Value, Origin | None, tuple[str, ...]]:
    """The value at ``path``, its place, and the keys on the way (a key may hold dots). Raises UsageError."""
    value: Value = tree
    origin: Origin | None = tree.origin
    steps: list[str] = []
    rest = path
    while rest:
        rest = rest.removeprefix(".")
        if isinstance(value, Map):
            key = _key(value, rest)
            if key is None:
                word = rest.partition(".")[0].partition("[")[0]
                close = nearest(word, value)
                raise UsageError(
                    f"nothing is at {path}: {'.'.join(steps) or 'the top'} has no {word!r}",
                    hint=f"did you mean {close!r}?" if close else f"it has: {', '.join(sorted(value)[:_LONGEST])}" if value else None,
                )
            origin, value, rest = value.where(key), value[key], rest[len(key) :]
            steps.append(key)
        elif isinstance(value, Seq) and rest[:1] == "[" and rest[1:].partition("]")[0].isdigit():
            index = int(rest[1:].partition("]")[0])
            if index >= len(value):
                raise UsageError(f"nothing is at {path}: there are only {len(value)} items")
            origin, value, rest = value.where(index), value[index], rest.partition("]")[2]
            steps.append(f"[{index}]")
        else:
            raise UsageError(f"nothing is at {path}: {'.'.join(steps)} is {_shown(value).strip()}")
    return value, origin, tuple(steps)


def _key(value: Map, rest: str) -> str | None:
    """The longest key that ``rest`` begins with."""
    fits = [key for key in value if rest == key or rest.startswith((key + ".", key + "["))]
    return max(fits, key=len) if fits else None


def _shown(value: Value) -> str:
    if isinstance(value, (Map, Seq)):
        text = write(plain(value, False)).rstrip("\n")
        return "\n" + "\n".join(f"    {line}" for line in text.split("\n")) if value else " {}" if isinstance(value, Map) else " []"
    return (
        f" {quoted(value) if value else repr(value)}"
        if isinstance(value, str)
        else " nothing"
        if value is None
        else f" {write(value).strip()}"
    )


def _place(loaded: Loaded, origin: Origin | None, word: str) -> list[str]:
    position = loaded.work.sources.locate(origin)
    if position is None:
        return [f"  {word} Compose's own rules"]
    return [f"  {word} {position}", f"      {position.source.strip()}"]


def _variables(loaded: Loaded, origin: Origin | None) -> list[str]:
    history = loaded.work.history
    lines: dict[str, None] = {}
    for name, value in history.variables.get(id(origin), []) if history else []:
        if value is None:
            lines[f"  variable {name} is not set"] = None
        else:
            source = loaded.place.sources.get(name, "an included project's env file")
            source = "the environment of the process" if source == "environment" else source
            lines[f"  variable {name} is {quoted(value) if value else repr(value)} from {source}"] = None
    return list(lines)


def _inside(loaded: Loaded, value: Map, steps: tuple[str, ...]) -> list[str]:
    """What was overridden below a mapping."""
    history = loaded.work.history
    start = ".".join(steps) + "."
    below = sorted(key for key in (history.overridden if history else {}) if key.startswith(start))
    return [f"  below it, {key} was overridden" for key in below]
