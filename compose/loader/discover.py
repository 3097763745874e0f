"""Before the first phase: which files, which directory, which variables, which name. Reads .env files; runs in the command's process."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field

from compose.errors import LoadError, Position, Problem
from compose.loader.dotenv import DotenvError, parse
from compose.loader.options import LoadOptions
from runtime.record import dataclass

FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(slots=True)
class Place:
    """Where a project is: its directory, files ("-" is the standard input), variables with their sources, and the name if one was given."""

    directory: str
    current: str
    files: list[str] = field(default_factory=list)
    env_files: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    name: str = ""
    warnings: list[str] = field(default_factory=list)

    def absolute(self, path: str) -> str:
        """A path of the command line."""
        return os.path.normpath(os.path.join(self.current, path))


def discover(options: LoadOptions) -> Place:
    """Find the project. Raises LoadError."""
    process = os.environ if options.environment is None else options.environment
    current = os.path.abspath(options.working_directory or os.getcwd())
    place = Place(directory="", current=current, environment=dict(process), sources=dict.fromkeys(process, "environment"))
    if "PWD" not in place.environment:
        place.environment["PWD"], place.sources["PWD"] = current, "environment"
    place.directory = _directory(place, options, options.files)
    _read_env_files(place, options)
    files = options.files or _files_variable(place)
    _refuse_remote(files)
    if files:
        place.files = [f if f == "-" else place.absolute(f) for f in files]
    else:
        place.files = _default_files(place)
    place.directory = _directory(place, options, place.files)
    _read_env_files(place, options)
    place.name = _given_name(place, options)
    return place


def _directory(place: Place, options: LoadOptions, files: tuple[str, ...] | list[str]) -> str:
    if options.project_directory:
        return place.absolute(options.project_directory)
    for file in files:
        if file != "-":
            return os.path.dirname(place.absolute(file))
    return place.current


def _files_variable(place: Place) -> tuple[str, ...]:
    value = place.environment.get("COMPOSE_FILE")
    if not value:
        return ()
    separator = place.environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    return tuple(part for part in value.split(separator) if part)


def _refuse_remote(files: tuple[str, ...]) -> None:
    from compose.loader.paths import fetching, is_remote

    for file in files:
        if is_remote(file):
            raise LoadError(Problem(path="", message=f"remote files are not fetched: {file}", hint=fetching(file)))


def _default_files(place: Place) -> list[str]:
    directory = place.directory
    while True:
        found = [name for name in FILES if os.path.isfile(os.path.join(directory, name))]
        if found:
            break
        parent = os.path.dirname(directory)
        if parent == directory:
            hint = f"make a compose.yaml here, or name one with -f (looked for {', '.join(FILES)} in {place.directory} and above)"
            raise LoadError(Problem(path="", message="no configuration file provided: not found", hint=hint))
        directory = parent
    files = [os.path.join(directory, found[0])]
    if len(found) > 1:
        place.warnings.append(f"Found multiple config files with supported names: {', '.join(found)}; using {found[0]}")
    overrides = [name for name in OVERRIDES if os.path.isfile(os.path.join(directory, name))]
    if len(overrides) > 1:
        place.warnings.append(f"Found multiple override files with supported names: {', '.join(overrides)}; using {overrides[0]}")
    return files + [os.path.join(directory, name) for name in overrides[:1]]


def _read_env_files(place: Place, options: LoadOptions) -> None:
    """Variables of .env or of the files named; what is there already wins, a later file wins over an earlier one."""
    process = os.environ if options.environment is None else options.environment
    named = options.env_files or tuple(f for f in process.get("COMPOSE_ENV_FILES", "").split(",") if f)
    if named:
        paths = [place.absolute(f) for f in named]
    elif is_true(place.environment.get("COMPOSE_DISABLE_ENV_FILE", "")):
        return
    else:
        default = os.path.join(place.directory, ".env")
        paths = [default] if os.path.isfile(default) else []
    for path, values in read_env_files(paths, place.environment).items():
        if path in place.env_files:
            continue
        place.env_files.append(path)
        for key, value in values.items():
            if place.sources.get(key, "") in ("", *(paths if named else ())):
                place.environment[key] = value
                place.sources[key] = path


def read_env_files(paths: list[str], environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Variables by file; a reference finds ``environment`` first, then the lines above it, then the files before. Raises LoadError."""
    result: dict[str, dict[str, str]] = {}
    before: dict[str, str] = {}
    for path in paths:
        try:
            if os.path.isdir(path):
                raise LoadError(Problem(path="", message=f"{path} is a directory, not an env file"))
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
            result[path] = parse(text, environment.get, None, before)
        except DotenvError as e:
            lines = text.splitlines()
            position = Position(path, e.line, 1, lines[e.line - 1] if e.line <= len(lines) else "")
            raise LoadError(Problem(path="", message=f"failed to read env file: {e.message}", position=position)) from None
        except FileNotFoundError:
            raise LoadError(Problem(path="", message=f"couldn't find env file: {path}")) from None
        except OSError as e:
            raise LoadError(Problem(path="", message=f"cannot read env file {path}: {e.strerror}")) from None
        before.update(result[path])
    return result


def is_true(text: str) -> bool:
    """Whether a variable switches something on."""
    return text.lower() in ("1", "t", "true", "y", "yes", "on")


def normalized(name: str) -> str:
    """A project name out of any text: lower case letters, digits, ``-`` and ``_``."""
    return re.sub(r"[^-_a-z0-9]", "", name.lower()).lstrip("_-")


def _given_name(place: Place, options: LoadOptions) -> str:
    name = options.project_name or place.environment.get("COMPOSE_PROJECT_NAME", "")
    if name and not _NAME.fullmatch(name):
        rule = "must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
        message = f"invalid project name {name!r}: {rule}"
        hint = f"such as {normalized(name)!r}" if normalized(name) else None
        raise LoadError(Problem(path="name", message=message, hint=hint))
    return name


def directory_name(place: Place) -> str:
    """The name that the project directory gives."""
    return normalized(os.path.basename(place.directory))
