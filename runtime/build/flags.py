"""Flags of instructions: ``--name=value`` words, durations, ``--mount`` fields. Pure. Errors are ValueError; the reader adds the place."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Callable, Collection
from typing import Literal, cast

from runtime.build.instructions import RunMount

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MOUNT_KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_MOUNT_KEYS = {
    "type": "type", "target": "target", "dst": "target", "destination": "target", "source": "source", "src": "source", "from": "from", "id": "id",
    "readonly": "ro", "ro": "ro", "rw": "rw", "readwrite": "rw", "required": "required", "sharing": "sharing", "size": "size", "mode": "mode",
    "uid": "uid", "gid": "gid", "env": "env",
}  # fmt: skip


def split(
    flags: Collection[str], values: Collection[str], switches: Collection[str], repeated: Collection[str] = ()
) -> dict[str, list[str]]:
    """``--name=value`` words by name. ``switches`` are booleans, written alone or ``=true``; only ``repeated`` may come twice."""
    found: dict[str, list[str]] = {}
    for flag in flags:
        name, equals, value = flag.removeprefix("--").partition("=")
        if name not in (*values, *switches, *repeated):
            raise ValueError(_unknown_flag(name, (*values, *switches, *repeated)))
        if name in switches:
            value = value if equals else "true"
        elif not equals:
            raise ValueError(f"flag --{name} needs a value: --{name}=…")
        if name in found and name not in repeated:
            raise ValueError(f"flag --{name} is given twice")
        found.setdefault(name, []).append(value)
    return found


def truth(values: list[str] | None) -> bool:
    """The value of a switch."""
    if not values:
        return False
    if values[-1].lower() in ("true", "1", "t"):
        return True
    if values[-1].lower() in ("false", "0", "f"):
        return False
    raise ValueError(f"expected true or false, not {values[-1]!r}")


def duration(text: str) -> int:
    """A Go duration ("1m30s", "1.5h", "0") in nanoseconds."""
    if text == "0":
        return 0
    matches = list(_DURATION.finditer(text))
    if not matches or "".join(m[0] for m in matches) != text:
        raise ValueError(f"{text!r} is not a duration; write 30s, 1m30s, 500ms …")
    return sum(int(float(m[1]) * _UNITS[m[2]]) for m in matches)


def size(text: str) -> int:
    """A number of bytes with an optional unit (10m, 1gb)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", text.lower())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write 64m, 1g …")
    return int(float(match[1]) * _SIZES[match[2]])


def mount_fields(text: str) -> list[tuple[str, str, bool]]:
    """The fields of one ``--mount`` as (key, value, whether "=" was written), keys in their usual spelling."""
    rows = list(csv.reader([text]))
    fields = []
    for field in rows[0] if rows else ():
        key, equals, value = field.partition("=")
        known = _MOUNT_KEYS.get(key.strip().lower())
        if known is None:
            near = difflib.get_close_matches(key, _MOUNT_KEYS, 1)
            raise ValueError(f"unexpected key {key!r} in mount {text!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        fields.append((known, value, bool(equals)))
    return fields


def mount(text: str, expand: Callable[[str], str] = str) -> RunMount:
    """One ``--mount``, variables replaced in every value but ``type`` and ``from`` (they decide the build's graph)."""
    fields = mount_fields(text)
    values = {key: value if key in ("type", "from") else expand(value) for key, value, _ in fields}
    kind = values.get("type", "bind")
    if kind not in _MOUNT_KINDS:
        raise ValueError(f"unsupported mount type {kind!r}; there are {', '.join(_MOUNT_KINDS)}")
    found = RunMount(
        kind=cast("Literal['bind', 'cache', 'tmpfs', 'secret', 'ssh']", kind),
        target=values.get("target", ""),
        source=values.get("source", ""),
        origin=values.get("from", ""),
        id=values.get("id", ""),
        read_only=_read_only(fields),
        sharing=_sharing(values.get("sharing", "shared")),
        required=any(key == "required" and (not equals or truth([value])) for key, value, equals in fields),
        size=size(values["size"]) if "size" in values else None,
        mode=_number(values, "mode", 8),
        uid=_number(values, "uid", 10),
        gid=_number(values, "gid", 10),
        env=values.get("env", ""),
    )
    _check_mount(found, text)
    return found


def _check_mount(found: RunMount, text: str) -> None:
    if found.kind == "tmpfs" and found.origin:
        raise ValueError(f"mount {text!r}: a tmpfs has no from")
    if found.kind == "secret" and not (found.id or found.source or found.target):
        raise ValueError(f"mount {text!r}: a secret needs an id")


def _read_only(fields: list[tuple[str, str, bool]]) -> bool | None:
    decided: bool | None = None
    for key, value, equals in fields:
        if key in ("ro", "rw"):
            decided = (not equals or truth([value])) == (key == "ro")
    return decided


def _sharing(text: str) -> Literal["shared", "private", "locked"]:
    if text not in ("shared", "private", "locked"):
        raise ValueError(f"sharing is shared, private or locked, not {text!r}")
    return cast("Literal['shared', 'private', 'locked']", text)


def _number(values: dict[str, str], key: str, base: int) -> int | None:
    if key not in values:
        return None
    try:
        return int(values[key], base)
    except ValueError:
        raise ValueError(f"{key} of a mount is {'an octal' if base == 8 else 'a'} number, not {values[key]!r}") from None


def _unknown_flag(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    if not known:
        return f"unknown flag: --{name}; this instruction has no flags"
    return f"unknown flag: --{name}" + (
        f"; did you mean --{near[0]}?" if near else f"; there are {', '.join('--' + k for k in sorted(known))}"
    )
