"""Dockerfile instructions applied to an image configuration, as `import --change` and `commit --change` take them. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from runtime.errors import ImageError

_ALLOWED = ("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR", "SHELL")


def apply(run: Mapping[str, object], changes: Sequence[str]) -> dict[str, object]:
    """``config`` with the instructions applied in order. Raises ImageError for one that is unknown or malformed."""
    result = dict(run)
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        _apply_one(result, word.upper(), rest.strip(), change)
    return result


def _apply_one(run: dict[str, object], word: str, rest: str, change: str) -> None:
    if word not in _ALLOWED:
        raise ImageError(f"--change {change!r}: {word} cannot be changed", hint=f"known are {', '.join(_ALLOWED)}")
    if not rest:
        raise ImageError(f"--change {change!r}: {word} needs a value")
    match word:
        case "CMD" | "ENTRYPOINT" | "SHELL":
            run[word.capitalize()] = _command(word, rest, run)
        case "ENV":
            run["Env"] = _environment(_texts(run.get("Env")), _pairs(rest, change))
        case "LABEL":
            run["Labels"] = {**_mapping(run.get("Labels")), **dict(_pairs(rest, change))}
        case "EXPOSE":
            run["ExposedPorts"] = {**_mapping(run.get("ExposedPorts")), **{_port(p, change): {} for p in rest.split()}}
        case "VOLUME":
            run["Volumes"] = {**_mapping(run.get("Volumes")), **{v: {} for v in _list_or_words(rest)}}
        case "ONBUILD":
            run["OnBuild"] = [*_texts(run.get("OnBuild")), rest]
        case _:
            run[{"STOPSIGNAL": "StopSignal", "USER": "User", "WORKDIR": "WorkingDir"}[word]] = rest


def _command(word: str, rest: str, run: Mapping[str, object]) -> list[str]:
    listed = _json_list(rest)
    if listed is not None:
        return listed
    if word == "SHELL":
        raise ImageError(f"--change SHELL {rest}: SHELL takes a JSON list", hint='SHELL ["/bin/bash", "-c"]')
    return [*(_texts(run.get("Shell")) or ["/bin/sh", "-c"]), rest]


def _json_list(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _list_or_words(text: str) -> list[str]:
    return _json_list(text) or shlex.split(text)


def _pairs(rest: str, change: str) -> list[tuple[str, str]]:
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise ImageError(f"--change {change!r}: {error}") from None
    if words and "=" not in words[0]:
        return [(words[0], rest.split(None, 1)[1] if len(words) > 1 else "")]
    return [(key, value) for key, _, value in (word.partition("=") for word in words)]


def _environment(known: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    merged = dict(item.partition("=")[::2] for item in known) | dict(pairs)
    return [f"{key}={value}" for key, value in merged.items()]


def _port(text: str, change: str) -> str:
    number, _, protocol = text.partition("/")
    if not number.isdigit() or protocol.lower() not in ("", "tcp", "udp", "sctp"):
        raise ImageError(f"--change {change!r}: {text!r} is not a port", hint="EXPOSE 80/tcp")
    return f"{number}/{protocol.lower() or 'tcp'}"


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
