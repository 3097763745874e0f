"""``image ls``, ``inspect``, ``history``."""

from __future__ import annotations

import fnmatch
import json
import time
from collections.abc import Iterator, Mapping

import click

from compose.cli import human, output, table
from compose.cli.group import Command
from compose.cli.template import Template
from compose.errors import UsageError
from runtime.engine import images
from runtime.errors import RuntimeFailure
from runtime.state import ImageState

_COLUMNS = {"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE"}
_FILTERS = ("reference", "label", "dangling", "before", "since")
_DIGESTS = {"Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE"}


@click.command(cls=Command)
@click.argument("name", default="", metavar="[REPOSITORY[:TAG]]")
@click.option("-a", "--all", "everything", is_flag=True, help="Accepted for compatibility; there are no intermediate images.")
@click.option("-q", "--quiet", is_flag=True, help="Only show image ids.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten ids.")
@click.option("--digests", is_flag=True, help="Show digests.")
@click.option("--filter", "filters", multiple=True, metavar="FILTER", help="reference=, label=, dangling=, before=, since=.")
@click.option("--format", "form", default="table", metavar="FORMAT", help="table, json or a Go template.")
def ls(name: str, everything: bool, quiet: bool, no_trunc: bool, digests: bool, filters: tuple[str, ...], form: str) -> None:
    """List images."""
    del everything
    wanted = [*filters, *([f"reference={name}"] if name else [])]
    for text in wanted:
        if text.partition("=")[0] not in _FILTERS or "=" not in text:
            raise UsageError(f"invalid filter {text!r}", hint=f"known are {', '.join(f'{key}=' for key in _FILTERS)}")
    found = [state for state in images.images() if all(_matches(state, text) for text in wanted)]
    pattern = next((text.partition("=")[2] for text in wanted if text.startswith("reference=")), "")
    rows = [row for state in found for row in _rows(state, no_trunc=no_trunc, digests=digests, pattern=pattern)]
    if quiet:
        output.write("".join(f"{i}\n" for i in dict.fromkeys(str(row["ID"]) for row in rows)))
        return
    output.write(table.formatted(rows, form, columns=_DIGESTS if digests else _COLUMNS))


def _matches(state: ImageState, text: str) -> bool:
    key, _, value = text.partition("=")
    match key:
        case "reference":
            return any(_name_fits(reference, value) for reference in state.references)
        case "label":
            label, has_value, content = value.partition("=")
            return label in state.config.labels and (not has_value or state.config.labels[label] == content)
        case "dangling":
            return (not any("@" not in n for n in state.references)) == (value.lower() in ("true", "1"))
        case "before":
            return state.created_at < images.get(value).created_at
        case _:
            return state.created_at > images.get(value).created_at


def _name_fits(reference: str, pattern: str) -> bool:
    repository = reference.partition("@")[0].rpartition(":")[0] or reference.partition("@")[0]
    return fnmatch.fnmatchcase(reference, pattern) or fnmatch.fnmatchcase(repository, pattern)


def _rows(state: ImageState, *, no_trunc: bool, digests: bool, pattern: str) -> Iterator[dict[str, object]]:
    pulled = {n.partition("@")[0]: n.partition("@")[2] for n in state.references if "@" in n}
    tagged = [n for n in state.references if "@" not in n and (not pattern or _name_fits(n, pattern))]
    for reference in tagged:
        repository, _, tag = reference.rpartition(":")
        yield _row(state, repository, tag, pulled.get(repository, "<none>"), no_trunc=no_trunc)
    if not tagged:
        repository = next(iter(pulled), "<none>")
        yield _row(state, repository if digests or pulled else "<none>", "<none>", pulled.get(repository, "<none>"), no_trunc=no_trunc)


def _row(state: ImageState, repository: str, tag: str, digest: str, *, no_trunc: bool) -> dict[str, object]:
    created = state.created_at or state.pulled_at
    return {
        "Repository": repository, "Tag": tag, "Digest": digest, "ID": state.id if no_trunc else state.id[7:19],
        "CreatedAt": human.local_time(created), "CreatedSince": _since(created), "Size": human.size(state.size), "Containers": "N/A",
        "SharedSize": "N/A", "UniqueSize": "N/A", "VirtualSize": human.size(state.size),
    }  # fmt: skip


def _since(created: int) -> str:
    return f"{human.duration((time.time_ns() - created) / 1e9)} ago" if created else "N/A"


@click.command(cls=Command)
@click.argument("references", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-f", "--format", "form", default="", metavar="FORMAT", help="json or a Go template.")
def inspect(references: tuple[str, ...], form: str) -> int:
    """Display detailed information on images as JSON."""
    found, failed = [], 0
    for reference in references:
        try:
            found.append(described(images.get(reference)))
        except RuntimeFailure as error:
            failed = output.fail(error)
    if not form:
        output.data(json.dumps(found, indent=4, ensure_ascii=False))
    elif form == "json":
        output.write("".join(f"{table.as_json(item)}\n" for item in found))
    else:
        template = Template.parse(form)
        output.write("".join(f"{template.render(item)}\n" for item in found))
    return failed


def described(state: ImageState) -> Mapping[str, object]:
    """The fields of `docker image inspect` that mean something here."""
    raw = json.loads(images.raw_config(state.id))
    return {
        "Id": state.id,
        "RepoTags": [n for n in state.references if "@" not in n],
        "RepoDigests": [n for n in state.references if "@" in n],
        "Comment": next((str(h["comment"]) for h in reversed(raw.get("history") or []) if h.get("comment")), ""),
        "Created": state.config.created,
        "Author": raw.get("author", ""),
        "Config": raw.get("config") or {},
        "Architecture": state.config.architecture,
        **({"Variant": state.config.variant} if state.config.variant else {}),
        "Os": state.config.os,
        "Size": state.size,
        "RootFS": {"Type": "layers", "Layers": list(state.config.diff_ids)},
        "Metadata": {"LastTagTime": human.timestamp(state.pulled_at)},
    }


@click.command(cls=Command)
@click.argument("reference", metavar="IMAGE")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@click.option("-q", "--quiet", is_flag=True, help="Only show image ids.")
@click.option("--format", "form", default="table", metavar="FORMAT", help="table, json or a Go template.")
def history(reference: str, no_trunc: bool, quiet: bool, form: str) -> None:
    """Show how an image came about, newest step first."""
    rows: list[dict[str, object]] = []
    for row in images.history(reference):
        shown = row.image if no_trunc or not row.image.startswith("sha256:") else row.image[7:19]
        by = row.created_by if no_trunc else human.ellipsis(row.created_by, 45)
        rows.append({
            "ID": shown, "CreatedSince": _since(row.created_at), "CreatedAt": human.local_time(row.created_at), "CreatedBy": by,
            "Size": human.size(row.size), "Comment": row.comment,
        })  # fmt: skip
    if quiet:
        output.write("".join(f"{row['ID']}\n" for row in rows))
        return
    columns = {"ID": "IMAGE", "CreatedSince": "CREATED", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT"}
    output.write(table.formatted(rows, form, columns=columns))
