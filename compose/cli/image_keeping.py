"""``image rm``, ``tag``, ``prune``, ``df``, ``verify``: keeping the store's house."""

from __future__ import annotations

import time

import click

from compose.cli import human, output, table, times
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError
from runtime.engine import images
from runtime.errors import NotFound, RuntimeFailure


@click.command(cls=Command)
@click.argument("references", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-f", "--force", is_flag=True, help="Remove all names; missing images are no error.")
@click.pass_obj
def rm(options: GlobalOptions, references: tuple[str, ...], force: bool) -> int:
    """Remove images: untag them, and delete what has no name left."""
    failed = 0
    for reference in references:
        try:
            if options.dry_run:
                output.note(f"would remove {images.get(reference).id}")
                continue
            removed = images.remove(reference, force=force)
        except RuntimeFailure as error:
            if not (force and isinstance(error, NotFound)):
                failed = output.fail(error)
            continue
        output.write("".join(f"Untagged: {name}\n" for name in removed.untagged) + "".join(f"Deleted: {i}\n" for i in removed.deleted))
    return failed


@click.command(cls=Command)
@click.argument("reference", metavar="IMAGE")
@click.argument("new", metavar="NEW_NAME")
@click.pass_obj
def tag(options: GlobalOptions, reference: str, new: str) -> None:
    """Give an image a further name."""
    if options.dry_run:
        output.note(f"would tag {images.get(reference).id} as {new}")
        return
    images.tag(reference, new)


@click.command(cls=Command)
@click.option("-a", "--all", "everything", is_flag=True, help="Remove all images that no container uses, not just dangling ones.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="FILTER", help="until=<time>, label=<key>[=<value>], label!=<key>[=<value>].")
@click.pass_obj
def prune(options: GlobalOptions, everything: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove unused images and whatever else nothing needs."""
    until, labels = _filters(filters)
    kind = "all images without at least one container associated to them" if everything else "all dangling images"
    if options.dry_run:
        output.note(f"would remove {kind}")
        return
    if not force and not output.confirm(f"WARNING! This will remove {kind}.\nAre you sure you want to continue?"):
        return
    pruned = images.prune(all_unused=everything, until=until, labels=labels)
    if pruned.deleted:
        rows = [*(f"untagged: {name}\n" for name in pruned.untagged), *(f"deleted: {i}\n" for i in pruned.deleted)]
        output.write("Deleted Images:\n" + "".join(rows) + "\n")
    output.data(f"Total reclaimed space: {human.size(pruned.reclaimed)}")


def _filters(filters: tuple[str, ...]) -> tuple[int | None, list[str]]:
    until, labels = None, []
    for text in filters:
        key, _, value = text.partition("=")
        if key == "until" and value:
            until = times.moment(value, time.time_ns())
        elif key in ("label", "label!") and value:
            labels.append(("!" if key.endswith("!") else "") + value)
        else:
            raise UsageError(f"invalid filter {text!r}", hint="known are until=<time>, label=<key>[=<value>] and label!=<key>[=<value>]")
    return until, labels


@click.command(cls=Command)
@click.option("-v", "--verbose", is_flag=True, help="Show every layer.")
@click.option("--format", "form", default="table", metavar="FORMAT", help="table or json.")
def df(verbose: bool, form: str) -> None:
    """Show what the store takes on disk, as the disk itself counts."""
    usage = images.disk_usage()
    cached = [layer for layer in usage.layers if layer.pinned and not layer.images]
    left = [layer for layer in usage.layers if not layer.pinned and not layer.images]
    named = sum(layer.size for layer in usage.layers if layer.images)
    kept, loose = sum(layer.size for layer in cached), sum(layer.size for layer in left)
    rows = [
        _usage("Images", usage.images, usage.active, named, usage.reclaimable - loose),
        _usage("Build cache", len(cached), 0, kept + usage.cache, 0),
        _usage("Unnamed layers", len(left), 0, loose, loose),
        _usage("Catalog", 0, 0, usage.other, 0),
        _usage("Total", usage.images, usage.active, usage.total, usage.reclaimable),
    ]
    if form == "json":
        output.write("".join(f"{table.as_json(row)}\n" for row in rows))
        return
    shown = [
        [str(r["Type"]), str(r["TotalCount"]), str(r["Active"]), human.size(_number(r["Size"])), human.size(_number(r["Reclaimable"]))]
        for r in rows
    ]
    output.write(table.aligned([["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"], *shown]))
    if verbose:
        listed = [
            [layer.diff_id[7:19], human.size(layer.size), ", ".join(i[7:19] for i in layer.images) or "<none>"] for layer in usage.layers
        ]
        output.write("\n" + table.aligned([["LAYER", "SIZE", "IMAGES"], *listed]))


def _usage(kind: str, count: int, active: int, size: int, reclaimable: int) -> dict[str, object]:
    return {"Type": kind, "TotalCount": count, "Active": active, "Size": size, "Reclaimable": reclaimable}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


@click.command(cls=Command)
def verify() -> int:
    """Read everything in the store and compare it with its digests; exit code 1 when something is damaged."""
    damages = images.verify()
    for damage in damages:
        output.data(f"{damage.kind} {damage.name}: {damage.problem}")
    if damages:
        output.note(f"{len(damages)} damaged; remove the images (image rm) and pull, load or build them again")
        return 1
    output.data("everything is as its digests say")
    return 0
