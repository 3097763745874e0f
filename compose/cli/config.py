"""``config`` (``convert``): the project as it was understood, in canonical form, or one aspect of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from compose.cli import output
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.errors import LoadError, UsageError

if TYPE_CHECKING:
    from compose.loader import Loaded, LoadOptions
    from compose.loader.variables import Mentioned
    from compose.model import Project

_LISTS = ("services", "volumes", "networks", "models", "profiles", "images", "variables", "environment")


@click.command(cls=Command, name="config")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--environment", "what", flag_value="environment", help="Print environment used for interpolation.")
@click.option("--explain", "explain_path", metavar="PATH", help="Say where a value comes from (such as services.web.environment.DB_HOST).")
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json"]), help="Format the output (and, as json, errors). Values: [yaml | json]"
)
@click.option("--hash", "hashed", metavar="SERVICES", help="Print the service config hash, one per line ('*' for all).")
@click.option("--images", "what", flag_value="images", help="Print the image names, one per line.")
@click.option("--lock-image-digests", is_flag=True, help="Produces an override file with image digests")
@click.option("--models", "what", flag_value="models", help="Print the model names, one per line.")
@click.option("--networks", "what", flag_value="networks", help="Print the network names, one per line.")
@click.option("--no-consistency", is_flag=True, help="Don't check model consistency - warning: may produce invalid Compose output")
@click.option("--no-env-resolution", is_flag=True, help="Don't resolve service env files")
@click.option("--no-interpolate", is_flag=True, help="Don't interpolate environment variables")
@click.option("--no-normalize", is_flag=True, help="Don't normalize compose model")
@click.option("--no-path-resolution", is_flag=True, help="Don't resolve file paths")
@click.option("-o", "--output", "target", metavar="FILE", help="Save to file (default to stdout)")
@click.option("--profiles", "what", flag_value="profiles", help="Print the profile names, one per line.")
@click.option("-q", "--quiet", is_flag=True, help="Only validate the configuration, don't print anything")
@click.option("--resolve-image-digests", is_flag=True, help="Pin image tags to digests")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of Compose files (for editors).")
@click.option("--services", "what", flag_value="services", help="Print the service names, one per line.")
@click.option("--variables", "what", flag_value="variables", help="Print model variables and default values.")
@click.option("--volumes", "what", flag_value="volumes", help="Print the volume names, one per line.")
@click.pass_obj
def config(options: GlobalOptions, /, services: tuple[str, ...], form: str | None, target: str | None, **said: object) -> None:
    """Parse, resolve and render compose file in canonical format."""
    if form == "json":
        output.configure(ansi=options.ansi, json=True)
    try:
        text = _schema() if said["schema"] else _text(options, services, form or "", said)
    except LoadError as error:
        if form != "json":
            raise
        raise click.exceptions.Exit(_problems(error)) from None
    if said["quiet"]:
        return
    if target:
        with open(target, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    else:
        output.write(text)


def _problems(error: LoadError) -> int:
    """Every mistake as one JSON object on a line of its own, for editors; the exit code."""
    import json

    for problem in error.problems:
        position = problem.position
        place = {"file": position.file, "line": position.line, "column": position.column} if position else {}
        shown = {"error": True, **place, "path": problem.path, "message": problem.message, "hint": problem.hint}
        output.note(json.dumps({key: value for key, value in shown.items() if value is not None}, ensure_ascii=False))
    return error.exit_code


def _text(options: GlobalOptions, services: tuple[str, ...], form: str, said: dict[str, object]) -> str:
    """What the flags ask for."""
    from compose.loader import load_tree

    if said["what"] == "variables":
        return _variables(options, form)
    interpolate = not said["no_interpolate"]
    if services and not interpolate:
        output.warn("services are ignored with --no-interpolate")
        services = ()
    loaded = load_tree(_load_options(options, services, said))
    output.warn_all(loaded.work.warnings)
    if said["explain_path"]:
        from compose.loader.explain import explain

        return explain(loaded, str(said["explain_path"]))
    if said["hashed"] is not None:
        return _hashes(loaded, str(said["hashed"]))
    if said["what"]:
        return "".join(f"{line}\n" for line in _VIEWS[str(said["what"])](loaded))
    if said["lock_image_digests"] or said["resolve_image_digests"]:
        _pin(loaded, only=bool(said["lock_image_digests"]))
    if said["quiet"]:
        return ""
    return _document(loaded, form, interpolate=interpolate)


def _load_options(options: GlobalOptions, services: tuple[str, ...], said: dict[str, object]) -> LoadOptions:
    from compose.loader import LoadOptions

    return LoadOptions(
        files=options.files,
        project_name=options.project_name,
        project_directory=options.project_directory,
        env_files=options.env_files,
        profiles=options.profiles,
        services=() if said["what"] in ("services", "profiles") else services,
        all_resources=options.all_resources or bool(said["no_interpolate"] and not said["what"]),
        compatibility=options.compatibility,
        interpolate=not said["no_interpolate"],
        as_written=bool(said["no_interpolate"]) and not (said["what"] or said["hashed"] or said["explain_path"]),
        normalize=not said["no_normalize"],
        resolve_paths=not said["no_path_resolution"],
        consistency=not said["no_consistency"] and not said["no_interpolate"],
        resolve_environment=not (said["no_env_resolution"] or said["no_interpolate"] or said["what"]),
        explain=bool(said["explain_path"]),
    )


def _document(loaded: Loaded, form: str, *, interpolate: bool) -> str:
    from compose import render

    shown = (
        render.document(loaded.tree, loaded.on, as_json=form == "json")
        if interpolate
        else render.as_written(loaded.tree, as_json=form == "json")
    )
    return render.as_json(shown, escape=interpolate) if form == "json" else render.as_yaml(shown, escape=interpolate)


def _project(loaded: Loaded) -> Project:
    from compose.loader.project import project

    return project(loaded)


def _names(section: str) -> Callable[[Loaded], list[str]]:
    def names(loaded: Loaded) -> list[str]:
        resources = loaded.tree.get(section)
        return sorted(resources) if isinstance(resources, dict) else []

    return names


def _services(loaded: Loaded) -> list[str]:
    """What is on, what a service depends on before it."""
    from compose.loader.select import in_order

    services = loaded.tree.get("services")
    return in_order(services, loaded.on if loaded.work.options.interpolate or not isinstance(services, dict) else set(services))


def _models(loaded: Loaded) -> list[str]:
    return sorted({model.model for model in _project(loaded).models.values()})


def _profiles(loaded: Loaded) -> list[str]:
    project = _project(loaded)
    return sorted({p for s in (*project.services.values(), *project.disabled_services.values()) for p in s.profiles})


def _images(loaded: Loaded) -> list[str]:
    project = _project(loaded)
    return sorted(s.image or f"{project.name}-{s.name}" for s in project.services.values() if not s.provider)


def _environment(loaded: Loaded) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(loaded.place.environment.items())]


_VIEWS: dict[str, Callable[[Loaded], list[str]]] = {
    "services": _services,
    "volumes": _names("volumes"),
    "networks": _names("networks"),
    "models": _models,
    "profiles": _profiles,
    "images": _images,
    "environment": _environment,
}


def _hashes(loaded: Loaded, wanted: str) -> str:
    from compose.convert import config_hash

    project = _project(loaded)
    names = sorted(project.services) if wanted in ("*", "") else [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in project.services:
            raise UsageError(f"no such service: {name}")
    return "".join(f"{name} {config_hash(project.services[name], project)}\n" for name in names)


def _variables(options: GlobalOptions, form: str) -> str:
    """The variables that the files mention, with defaults: a table, or JSON or YAML when asked for."""
    from compose.loader.variables import mentioned

    said = dict.fromkeys(
        ("what", "hashed", "no_normalize", "no_path_resolution", "no_consistency", "no_env_resolution", "explain_path"), None
    )
    found = mentioned(_load_options(options, (), {**said, "no_interpolate": True}))
    if form == "json":
        import json

        shown = {v.name: {"Name": v.name, "DefaultValue": v.default, "PresenceValue": v.alternate, "Required": v.required} for v in found}
        return json.dumps(shown, indent=4, ensure_ascii=False) + "\n\n"
    if form == "yaml":
        return "".join(map(_variable_yaml, found))
    rows = [
        ("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"),
        *((v.name, str(v.required).lower(), v.default, v.alternate) for v in found),
    ]
    widths = [max(20, *(len(row[i]) + 3 for row in rows)) for i in range(3)]
    return "".join("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[3] + "\n" for row in rows)


def _variable_yaml(variable: Mentioned) -> str:
    from compose.render_yaml import quoted

    lines = (
        ("name", quoted(variable.name)),
        ("defaultvalue", quoted(variable.default)),
        ("presencevalue", quoted(variable.alternate)),
        ("required", str(variable.required).lower()),
    )
    return f"{quoted(variable.name)}:\n" + "".join(f"    {key}: {value}\n" for key, value in lines)


def _schema() -> str:
    import json

    from compose.schema.project import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def _pin(loaded: Loaded, *, only: bool) -> None:
    """Replace image tags by digests, as the registry has them; ``only`` leaves nothing else."""
    from compose.loader.pin import pin
    from runtime.engine.images import resolve_digests

    pin(loaded, resolve_digests, only=only)
