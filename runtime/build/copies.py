"""COPY and ADD as plans: what they read, what names their result, and how they write it. Runs in worker threads of the command's process."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.build.copying import Copier, CopyOptions
from runtime.build.fingerprint import fingerprint
from runtime.build.ignore import of_patterns
from runtime.build.inputs import Input
from runtime.build.instructions import Copy
from runtime.build.modes import Mode, parse_mode, parse_owner
from runtime.build.parents import copy_with_parents, pivot
from runtime.build.select import Selected, is_wildcard, select
from runtime.build.state import StageState
from runtime.build.syntax import expander
from runtime.build.view import View
from runtime.build.writer import LayerWriter
from runtime.errors import BuildError


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """One COPY with everything looked up. ``parts`` decide the result; ``files`` are (selected, place below which parents are kept or "")."""

    target: str
    source: Input | None
    files: tuple[Selected, ...]
    texts: tuple[tuple[str, str], ...]
    owner: tuple[int, int] | None
    mode: Mode | None
    excluded: Callable[[str], bool] | None
    base: str | None
    link: bool
    parts: dict[str, object]


def target_of(state: StageState, text: str) -> str:
    """The absolute target; it ends with / when it is meant as a directory."""
    path = posixpath.normpath(posixpath.join(state.draft.working_dir, text))
    path = "/" + path.lstrip("/")
    as_directory = text in ("", ".") or text.endswith(("/", "/."))
    return path if not as_directory or path == "/" else path + "/"


def plan(state: StageState, copy: Copy, expand: Callable[[str], str], source: Input | None, image: View) -> CopyPlan:
    """Look everything up. Raises BuildError, ValueError, FileNotFoundError."""
    target = target_of(state, expand(copy.target))
    if len(copy.sources) + len(copy.heredocs) > 1 and not target.endswith("/"):
        raise ValueError("with more than one source the target must be a directory and end with a /")
    owner = parse_owner(expand(copy.chown), image) if copy.chown else None
    mode_text = expand(copy.chmod)
    patterns = tuple(expand(pattern) for pattern in copy.exclude)
    excluded = _excluded(patterns)
    texts = tuple((h.name, _text(h.text, state) if h.expand else h.text) for h in copy.heredocs)
    base, files = _files(copy, expand, source)
    parts: dict[str, object] = {
        "op": "copy",
        "target": target,
        "owner": owner,
        "mode": mode_text,
        "texts": texts,
        "files": _names(source, files, base, excluded),
        "exclude": patterns,
    }
    return CopyPlan(
        target=target, source=source, files=tuple(files), texts=texts, owner=owner, mode=parse_mode(mode_text) if mode_text else None,
        excluded=excluded, base=base, link=copy.link, parts=parts,
    )  # fmt: skip


def write(plan_: CopyPlan, upper: str, lowers: Sequence[str]) -> None:
    """Write the layer. Raises BuildError."""
    writer = LayerWriter(upper, () if plan_.link else lowers)
    options = CopyOptions(owner=plan_.owner, mode=plan_.mode, excluded=plan_.excluded, contents=plan_.source.contents if plan_.source else None)
    if plan_.source is not None:
        copier = Copier(plan_.source.view, writer, options)
        for selected in plan_.files:
            if plan_.base is not None:
                copy_with_parents(copier, selected, plan_.base, plan_.target)
            else:
                copier.copy(selected, plan_.target)
    for name, text in plan_.texts:
        _write_text(writer, plan_, name, text)


def _files(copy: Copy, expand: Callable[[str], str], source: Input | None) -> tuple[str | None, list[Selected]]:
    if not copy.sources:
        return None, []
    if source is None:
        raise BuildError("there is no context to copy from", hint="build.context is needed for COPY")
    base: str | None = None
    found: list[Selected] = []
    for word in copy.sources:
        name = expand(word)
        if copy.parents:
            base, selected = pivot(source.view, name)
        else:
            selected = select(source.view, name)
        if not selected and not is_wildcard(name):
            raise FileNotFoundError(name)
        found += selected
    if not found and not copy.heredocs and len(copy.sources) == 1 and not copy.parents:
        raise FileNotFoundError(expand(copy.sources[0]))
    return base, found


def _names(source: Input | None, files: list[Selected], base: str | None, excluded: Callable[[str], bool] | None) -> list[list[str]]:
    if source is None:
        return []
    named = []
    for selected in files:
        name = selected.node.name if base is not None else selected.name
        kind = "d" if selected.node.is_directory else "f"
        named.append([kind, "" if kind == "d" and base is None else name, fingerprint(source.view, selected.node, source.contents, excluded=excluded)])
    return named


def _excluded(patterns: tuple[str, ...]) -> Callable[[str], bool] | None:
    rule = of_patterns(patterns, "--exclude")
    return None if rule is None else (lambda name: rule.hidden(name, False))


def _text(text: str, state: StageState) -> str:
    return expander("\\", state.variables, quotes=False)(text)


def _write_text(writer: LayerWriter, plan_: CopyPlan, name: str, text: str) -> None:
    into = plan_.target.endswith("/")
    parent, _, last = plan_.target.rstrip("/").rpartition("/")
    directory = writer.directory(plan_.target if into else parent or "/", owner=plan_.owner, mode=plan_.mode)
    file = f"{directory}/{name if into else last}".lstrip("/")
    writer.content(file, text.encode("utf-8", "surrogateescape"))
    path = writer.host(file)
    os.chown(path, *(plan_.owner or (0, 0)))
    os.chmod(path, plan_.mode(0o644, False) if plan_.mode else 0o644)
