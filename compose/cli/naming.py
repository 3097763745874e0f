"""The project's name without loading the project: from flags, environment, and a look at the files that needs no YAML. In the command's process.

Reading commands need the name alone. Whatever is not plain to see (interpolated names, JSON files, COMPOSE_* in .env) is left to the loader.
"""

from __future__ import annotations

import os
import re

from compose.cli.options import GlobalOptions
from compose.errors import UsageError

DEFAULT_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
OVERRIDES = ("compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml", "docker-compose.override.yml")
_VALID = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NAME_LINE = re.compile(r"^[\"']?name[\"']?[ \t]*:(.*)$", re.MULTILINE)
_PLAIN = re.compile(r"""[ \t]*(["']?)([a-z0-9][a-z0-9_-]*)\1[ \t]*(?:#.*)?\r?""")
_DECIDES = re.compile(r"^\s*(?:export\s+)?COMPOSE_(?:PROJECT_NAME|FILE|PATH_SEPARATOR|ENV_FILES|DISABLE_ENV_FILE)\b", re.MULTILINE)


def plain_name(options: GlobalOptions) -> str | None:
    """The project's name, or None when only the loader can tell. Raises UsageError for a name that cannot be one."""
    said = options.project_name or os.environ.get("COMPOSE_PROJECT_NAME")
    if said:
        return checked(said)
    files = _files(options)
    if not files or options.env_files or any("://" in f or f == "-" for f in files):
        return None
    directory = os.path.abspath(options.project_directory or os.path.dirname(os.path.abspath(files[0])))
    if _DECIDES.search(_text(f"{directory}/.env")) or _DECIDES.search(_text(".env")):
        return None
    return _named(files, directory)


def has_file(options: GlobalOptions) -> bool:
    """Whether there is a Compose file to load, as far as can be seen without loading."""
    return bool(options.files or os.environ.get("COMPOSE_FILE") or _found(os.getcwd()) or _DECIDES.search(_text(".env")))


def mentions(options: GlobalOptions, key: str) -> bool:
    """Whether a file of the project may set ``key`` somewhere: when not, nobody needs to load it to know. Files from elsewhere may."""
    words = re.compile(rf"\b{re.escape(key)}\b|\b(?:include|extends)\b")
    return any("://" in f or f == "-" or words.search(_text(f)) for f in _files(options))


def checked(name: str) -> str:
    """``name``, when it can be a project's. Raises UsageError."""
    if _VALID.fullmatch(name):
        return name
    raise UsageError(
        f'invalid project name "{name}": must consist only of lowercase alphanumeric characters, hyphens, and underscores '
        "as well as start with a letter or number",
        hint=f"for example {normalised(name)}" if normalised(name) else None,
    )


def normalised(directory: str) -> str:
    """The name that a directory's last part gives a project."""
    return re.sub(r"[^a-z0-9_-]", "", os.path.basename(directory).lower()).lstrip("_-")


def _named(files: list[str], directory: str) -> str | None:
    name = normalised(directory) or None
    for path in files:
        text = _text(path)
        if not text or text.lstrip()[:1] in ("{", "-", "%"):
            return None
        lines = _NAME_LINE.findall(text)
        if lines:
            found = _PLAIN.fullmatch(lines[-1])
            name = found.group(2) if found and len(lines) == 1 else None
            if name is None:
                return None
    return name


def _files(options: GlobalOptions) -> list[str]:
    if options.files:
        return list(options.files)
    environment = os.environ.get("COMPOSE_FILE")
    if environment:
        return environment.split(os.environ.get("COMPOSE_PATH_SEPARATOR") or os.pathsep)
    return _found(options.project_directory or os.getcwd())


def _found(directory: str) -> list[str]:
    """The default files of the nearest directory upwards that has one."""
    here = os.path.abspath(directory)
    while True:
        present = [f"{here}/{n}" for n in DEFAULT_FILES if os.path.exists(f"{here}/{n}")]
        if present:
            overrides = [f"{here}/{n}" for n in OVERRIDES if os.path.exists(f"{here}/{n}")]
            return present[:1] + overrides[:1]
        if here == os.path.dirname(here):
            return []
        here = os.path.dirname(here)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
