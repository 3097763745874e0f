"""COPY and ADD as plans: what they read, what names their result, and how they write it. Runs in worker threads of the command's process."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence

from runtime.build.copying import Copier, CopyOptions
from runtime.build.fingerprint import attributes
from runtime.build.inputs import Input
from runtime.build.instructions import Copy
from runtime.build.modes import Mode, parse_mode, parse_owner
from runtime.build.parents import copy_with_parents
from runtime.build.select import Selected
from runtime.build.selection import Chosen, Selection, choose, digest_of, exclusion, named
from runtime.build.state import StageState
from runtime.build.syntax import expander
from runtime.build.unpacking import is_archive, unpack
from runtime.build.view import View
from runtime.build.writer import LayerWriter
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One source of an instruction: ``word`` names files in ``tree``. ``remote`` ones were downloaded, and are unpacked on request only."""

    word: str
    tree: Input
    remote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """One file to copy, or (``unpack``) an archive to copy the content of."""

    word: str
    tree: Input
    chosen: Chosen
    unpack: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """One COPY with everything looked up. ``parts`` decide the result; ``texts`` are here-documents (name, content)."""

    target: str
    files: tuple[Picked, ...]
    names: tuple[list[object], ...]
    texts: tuple[tuple[str, str], ...]
    owner: tuple[int, int] | None
    mode: Mode | None
    exclude: tuple[str, ...]
    excluded: Callable[[str], bool] | None
    link: bool
    parts: dict[str, object]


def target_of(state: StageState, text: str) -> str:
    """The absolute target; it ends with / when it is meant as a directory."""
    path = posixpath.normpath(posixpath.join(state.draft.working_dir, text))
    path = "/" + path.lstrip("/")
    as_directory = text in ("", ".") or text.endswith(("/", "/."))
    return path if not as_directory or path == "/" else path + "/"


def plan(state: StageState, copy: Copy, expand: Callable[[str], str], offers: Sequence[Offer], image: View) -> CopyPlan:
    """Look everything up. Raises BuildError, ValueError, FileNotFoundError."""
    target = target_of(state, expand(copy.target))
    owner = parse_owner(expand(copy.chown), image) if copy.chown else None
    mode_text = expand(copy.chmod)
    patterns = tuple(expand(pattern) for pattern in copy.exclude)
    excluded = exclusion(patterns)
    texts = tuple((h.name, _text(h.text, state) if h.expand else h.text) for h in copy.heredocs)
    files = _files(copy, offers)
    names = tuple(named(picked.tree, picked.chosen, excluded) for picked in files)
    parts: dict[str, object] = {
        "op": "copy",
        "target": target,
        "owner": owner,
        "mode": mode_text,
        "texts": texts,
        "files": [[picked.unpack, *name] for picked, name in zip(files, names, strict=True)],
        "exclude": patterns,
    }
    return CopyPlan(
        target=target, files=files, names=names, texts=texts, owner=owner, mode=parse_mode(mode_text) if mode_text else None, exclude=patterns,
        excluded=excluded, link=copy.link and _free_of_base(image, target, plain=not (owner or mode_text)), parts=parts,
    )  # fmt: skip


def write(plan_: CopyPlan, upper: str, lowers: Sequence[str]) -> None:
    """Write the layer. Raises BuildError."""
    writer = LayerWriter(upper, () if plan_.link else lowers)
    for picked in plan_.files:
        options = CopyOptions(owner=plan_.owner, mode=plan_.mode, excluded=plan_.excluded, contents=picked.tree.contents)
        if picked.unpack:
            unpack(writer, picked.chosen.selected.node.path, plan_.target, options)
            continue
        copier = Copier(picked.tree.view, writer, options)
        if picked.chosen.base is not None:
            copy_with_parents(copier, picked.chosen.selected, picked.chosen.base, plan_.target)
        else:
            copier.copy(picked.chosen.selected, plan_.target)
    for name, text in plan_.texts:
        _write_text(writer, plan_, name, text)


def selections(plan_: CopyPlan, copy: Copy, offers: Sequence[Offer]) -> list[Selection]:
    """What the plan took from contexts, to be compared later (``memo``)."""
    found = []
    for offer in offers:
        if offer.tree.context is None:
            continue
        mine = zip(plan_.files, plan_.names, strict=True)
        names = [name for picked, name in mine if picked.tree is offer.tree and picked.word == offer.word]
        found.append(
            Selection(context=offer.tree.context, words=(offer.word,), parents=copy.parents, exclude=plan_.exclude, digest=digest_of(names))
        )
    return found


def _files(copy: Copy, offers: Sequence[Offer]) -> tuple[Picked, ...]:
    return tuple(
        Picked(word=offer.word, tree=offer.tree, chosen=chosen, unpack=_unpacks(copy, offer, chosen.selected))
        for offer in offers
        for chosen in choose(offer.tree.view, offer.word, parents=copy.parents)
    )


def _unpacks(copy: Copy, offer: Offer, selected: Selected) -> bool:
    if not copy.add or not selected.node.is_file or (copy.unpack is None and offer.remote) or copy.unpack is False:
        return False
    return is_archive(selected.node.path)


def _free_of_base(image: View, target: str, *, plain: bool) -> bool:
    """Whether a layer made without the base is the same: the target goes through no link and through plain directories of root's only.

    Where a mode or owner is asked for (not ``plain``), directories that are there already would get it, too.
    """
    name = ""
    for part in target.strip("/").split("/"):
        name = f"{name}/{part}" if name else part
        node = image.locate(name, follow=False).node
        if node is None:
            return True
        if (
            not plain
            or not node.is_directory
            or node.stat.st_mode & 0o7777 != 0o755
            or node.stat.st_uid
            or node.stat.st_gid
            or attributes(node.path)
        ):
            return False
    return True


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
    os.chmod(path, plan_.mode.change(0o644, False) if plan_.mode else 0o644)
