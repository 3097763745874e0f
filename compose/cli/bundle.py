"""``bundle`` and ``load``: a whole project in one file, and back, for machines without a network.

The bundle holds the canonical model without ``build``, every image with each layer once, and the files of configs (of secrets only when
asked). What services bind from the host stays on the host; it is named in a warning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

import click

from compose.cli import output
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import UsageError

_MODEL = "compose.yaml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

Tree = dict[str, object]


@click.command(cls=Command)
@click.option("-o", "--output", "target", default="", metavar="FILE", help="Where to write (default: <project>.bundle.tar).")
@click.option("--with-secrets", is_flag=True, help="Put the files of secrets in, too: whoever has the bundle can read them.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
@click.pass_obj
def bundle(options: GlobalOptions, target: str, with_secrets: bool, quiet: bool) -> None:
    """Write the model, the digests and the layers of the whole project into one file."""
    from runtime.engine import images

    name, model = _model(options)
    references = list(_images(name, model))
    for reference in references:
        if images.store().find(reference) is None:
            raise UsageError(f"the image {reference} is not there", hint="pycompose build, pycompose pull, then bundle again")
    documents = _documents(model, with_secrets=with_secrets)
    for path in _bound(model):
        output.warn(f"{path} is bound from this host and not part of the bundle")
    if options.dry_run:
        output.note(f"would bundle {', '.join(references)}")
        return
    path = target or f"{name}.bundle.tar"
    _write(path, documents, references)
    if not quiet:
        output.data(f"{path}: {len(references)} images of project {name}; bring it up elsewhere with: pycompose load {path}")


@click.command(cls=Command)
@click.argument("archive", metavar="FILE")
@click.option("-C", "--directory", default="", metavar="DIRECTORY", help="Where to put the model (default: ./<project>).")
@click.option("--no-start", is_flag=True, help="Load, but start nothing.")
@click.pass_context
def load(ctx: click.Context, archive: str, directory: str, no_start: bool) -> None:
    """Load a bundle and bring its project up."""
    from runtime.engine import images

    if ctx.obj.dry_run:
        output.note(f"would load {archive} and bring its project up")
        return
    with open(archive, "rb") as file:
        documents = images.read_bundle(file)
    name = _project_name(documents)
    home = os.path.abspath(directory or name)
    _unpack(home, documents)
    path = f"{home}/{_MODEL}"
    output.note(f"Loaded project {name} into {home}")
    if no_start:
        output.data(f"start it with: pycompose -f {path} up -d")
        return
    root = ctx.find_root().command
    root.main(["-f", path, "-p", name, "up", "-d"], prog_name="pycompose", standalone_mode=False)


def _model(options: GlobalOptions) -> tuple[str, Tree]:
    from compose import render
    from compose.loader import LoadOptions, load_tree

    loaded = load_tree(
        LoadOptions(
            files=options.files, project_name=options.project_name, project_directory=options.project_directory, env_files=options.env_files,
            profiles=options.profiles, compatibility=options.compatibility,
        )
    )  # fmt: skip
    output.warn_all(loaded.work.warnings)
    found: Tree = dict(render.document(loaded.tree, loaded.on))
    return loaded.name, found


def _images(project: str, model: Tree) -> Iterator[str]:
    """The image of every service; what was built here is only an image there."""
    for name, service in _section(model, "services"):
        if service.get("provider"):
            continue
        service["image"] = reference = str(service.get("image") or f"{project}-{name}")
        service.pop("build", None)
        service["pull_policy"] = "missing"
        yield reference


def _section(model: Tree, name: str) -> Iterator[tuple[str, Tree]]:
    section = model.get(name)
    for key, value in section.items() if isinstance(section, dict) else ():
        if isinstance(value, dict):
            yield key, value


def _documents(model: Tree, *, with_secrets: bool) -> Mapping[str, bytes]:
    from compose import render

    documents: dict[str, bytes] = {}
    for section in ("configs", "secrets"):
        for key, value in _section(model, section):
            path = value.get("file")
            if not isinstance(path, str):
                continue
            if section == "secrets" and not with_secrets:
                output.warn(f"the secret {key} ({path}) is not part of the bundle; --with-secrets puts it in")
                continue
            with open(path, "rb") as file:
                documents[f"files/{section}-{key}"] = file.read()
            value["file"] = f"./files/{section}-{key}"
    documents[_MODEL] = render.as_yaml(model).encode()  # type: ignore[arg-type]
    return documents


def _bound(model: Tree) -> Iterator[str]:
    for name, service in _section(model, "services"):
        volumes = service.get("volumes")
        for volume in volumes if isinstance(volumes, list) else ():
            if isinstance(volume, dict) and volume.get("type") == "bind":
                yield f"{volume.get('source')} (service {name})"


def _write(path: str, documents: Mapping[str, bytes], references: list[str]) -> None:
    from runtime.engine import images

    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "xb") as file:
            os.chmod(temporary, 0o600)
            images.write_bundle(documents, references, file)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _project_name(documents: Mapping[str, bytes]) -> str:
    lines = documents.get(_MODEL, b"").decode("utf-8", "replace").splitlines()
    name = next((line.partition(":")[2].strip().strip("\"'") for line in lines if line.startswith("name:")), "")
    if _NAME.fullmatch(name) is None:
        raise UsageError("the bundle's model has no valid project name", hint="write the bundle again with pycompose bundle")
    return name


def _unpack(home: str, documents: Mapping[str, bytes]) -> None:
    os.makedirs(f"{home}/files", exist_ok=True)
    for name, data in documents.items():
        if name != _MODEL and re.fullmatch(r"files/(configs|secrets)-[^/]+", name) is None:
            raise UsageError(f"the bundle holds a file of unknown purpose: {name[:100]!r}", hint="write it again with pycompose bundle")
        path = f"{home}/{name}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
