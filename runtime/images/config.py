"""Image configurations (OCI image-spec, config.md; Docker's image spec v1.2): raw JSON to ``ImageConfig``. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from runtime.errors import ImageError
from runtime.images import digest as digests
from runtime.spec import HealthcheckSpec, ImageConfig

MAX_CONFIG = 8 << 20  # bytes; real configurations are a few kilobytes
_NANO = 1_000_000_000
_HINT = "it is damaged, or made by something that does not follow the OCI image specification"


def document(raw: bytes, what: str) -> dict[str, object]:
    """The JSON object in ``raw``. Raises ImageError naming ``what`` when it is anything else (or nested absurdly deep)."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is not valid JSON: {str(error)[:200]}", hint=_HINT) from None
    if not isinstance(value, dict):
        raise ImageError(f"{what} is not a JSON object", hint=_HINT)
    return value


def parse(raw: bytes) -> ImageConfig:
    """The configuration; its id is the digest of ``raw``. Raises ImageError when a field has another type than the spec's."""
    if len(raw) > MAX_CONFIG:
        raise ImageError(f"the image configuration has {len(raw)} bytes; more than {MAX_CONFIG} is refused", hint=_HINT)
    top = document(raw, "the image configuration")
    run = _mapping(top, "config")
    return ImageConfig(
        id=digests.of(raw),
        architecture=_text(top, "architecture"),
        os=_text(top, "os") or "linux",
        variant=_text(top, "variant"),
        entrypoint=_optional_texts(run, "Entrypoint"),
        command=_optional_texts(run, "Cmd"),
        environment=_optional_texts(run, "Env") or (),
        working_dir=_text(run, "WorkingDir"),
        user=_text(run, "User"),
        volumes=tuple(sorted(_mapping(run, "Volumes"))),
        exposed_ports=tuple(sorted(_mapping(run, "ExposedPorts"))),
        labels={k: str(v) for k, v in _mapping(run, "Labels").items()},
        healthcheck=_healthcheck(run),
        stop_signal=_text(run, "StopSignal"),
        shell=_optional_texts(run, "Shell") or (),
        diff_ids=diff_ids(top),
        created=_text(top, "created"),
    )


def diff_ids(top: Mapping[str, object]) -> tuple[str, ...]:
    """``rootfs.diff_ids``, each checked to be a digest."""
    found = _optional_texts(_mapping(top, "rootfs"), "diff_ids") or ()
    for diff_id in found:
        digests.hex_of(diff_id, "rootfs.diff_ids")
    return found


def on_build(raw: bytes) -> tuple[str, ...]:
    """The ONBUILD triggers of a configuration."""
    return _optional_texts(_mapping(document(raw, "the image configuration"), "config"), "OnBuild") or ()


def created_ns(text: str) -> int:
    """An RFC 3339 time in nanoseconds since the epoch; 0 for none or nonsense."""
    head, dot, tail = text.partition(".")
    if not dot:
        return _seconds(text) * _NANO
    digits = len(tail) - len(tail.lstrip("0123456789"))
    fraction = int(tail[:digits][:9].ljust(9, "0")) if digits else 0
    seconds = _seconds(head + tail[digits:])
    return seconds * _NANO + fraction if seconds else 0


def _seconds(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError):
        return 0


def _healthcheck(run: Mapping[str, object]) -> HealthcheckSpec | None:
    found = _mapping(run, "Healthcheck")
    test = _optional_texts(found, "Test")
    if not test:
        return None
    return HealthcheckSpec(
        test=test,
        interval=_duration(found, "Interval"),
        timeout=_duration(found, "Timeout"),
        retries=_number(found, "Retries") or None,
        start_period=_duration(found, "StartPeriod"),
        start_interval=_duration(found, "StartInterval"),
    )


def _duration(found: Mapping[str, object], key: str) -> float | None:
    nanoseconds = _number(found, key)
    return nanoseconds / _NANO if nanoseconds else None


def _number(found: Mapping[str, object], key: str) -> int:
    value = found.get(key)
    if value is None:
        return 0
    if not isinstance(value, int):
        raise _wrong(key, "a number")
    return value


def _text(found: Mapping[str, object], key: str) -> str:
    value = found.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(key, "a string")
    return value


def _mapping(found: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = found.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(key, "an object")
    return value


def _optional_texts(found: Mapping[str, object], key: str) -> tuple[str, ...] | None:
    value = found.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(key, "a list of strings")
    return tuple(value)


def _wrong(key: str, expected: str) -> ImageError:
    return ImageError(f"the image configuration is malformed: {key!r} is not {expected}", hint=_HINT)
