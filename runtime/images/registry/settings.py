"""``registries.toml``: mirrors, insecure registries, private CAs, limits. Reads ``/etc/pycompose/`` and ``~/.config/pycompose/`` (which wins).

    [registry."docker.io"]
    mirrors = ["https://mirror.example", "http://10.0.0.5:5000"]

    [registry."registry.example:5000"]
    ca = "/etc/ssl/private-ca.pem"      # beside the system's CAs
    client_cert = "/etc/ssl/me.pem"     # mutual TLS, with client_key
    client_key = "/etc/ssl/me.key"
    insecure = true                     # unverified TLS, or plain HTTP

    [transfer]
    parallel = 3                        # layers at a time
    attempts = 6                        # tries without progress before giving up
    timeout = 30                        # seconds without a byte

    [limits]                            # fields of runtime.images.limits.Limits
    entries = 1000000

``PYCOMPOSE_REGISTRIES`` names a file to read instead. Docker's ``/etc/docker/certs.d/<host>/{*.crt,*.cert,*.key}`` is read as well.
"""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Mapping
from dataclasses import field, fields

from runtime import store
from runtime.errors import RegistryError
from runtime.images.limits import Limits
from runtime.record import dataclass

_SYSTEM = "/etc/pycompose/registries.toml"
_CERTS = "/etc/docker/certs.d"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What is known of one registry host. Paths are absolute, "" is none."""

    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file. ``timeout`` in seconds without a byte, ``attempts`` in a row without progress."""

    registries: Mapping[str, RegistrySettings] = field(default_factory=dict)
    parallel: int = 3
    attempts: int = 6
    timeout: float = 30.0
    limits: Limits = field(default_factory=Limits)

    def of(self, host: str) -> RegistrySettings:
        """The settings of a host, with what Docker's certs.d adds."""
        found = self.registries.get(host, RegistrySettings())
        if found.ca or found.client_cert:
            return found
        return _with_certs_d(host, found)


def load() -> Settings:
    """The settings in force. Raises RegistryError naming the file and the key that is wrong."""
    override = os.environ.get("PYCOMPOSE_REGISTRIES")
    user = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    merged: dict[str, dict[str, object]] = {}
    for path in [override] if override else [_SYSTEM, f"{user}/pycompose/registries.toml"]:
        for section, values in _read(path).items():
            merged[section] = {**merged.get(section, {}), **values}
    return _settings(merged)


def _read(path: str) -> Mapping[str, dict[str, object]]:
    text = store.read_file(path)
    if text is None:
        return {}
    try:
        found = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: {error}") from None
    for section, values in found.items():
        if section not in ("registry", "transfer", "limits") or not isinstance(values, dict):
            raise RegistryError(f"{path}: unknown section {section!r}", hint="known are registry, transfer and limits")
    return found


def _settings(found: Mapping[str, Mapping[str, object]]) -> Settings:
    transfer = _checked(found.get("transfer", {}), {"parallel": int, "attempts": int, "timeout": (int, float)}, "transfer")
    limits = _checked(found.get("limits", {}), {f.name: int for f in fields(Limits)}, "limits")
    registries = {host: _registry(host, values) for host, values in found.get("registry", {}).items()}
    return Settings(registries=registries, limits=Limits(**limits), **transfer)  # type: ignore[arg-type]


def _registry(host: str, values: object) -> RegistrySettings:
    kinds: Mapping[str, type] = {"mirrors": list, "insecure": bool, "ca": str, "client_cert": str, "client_key": str}
    found = _checked(values if isinstance(values, dict) else {"": values}, kinds, f'registry."{host}"')
    mirrors = found.pop("mirrors", [])
    for mirror in mirrors if isinstance(mirrors, list) else []:
        if not isinstance(mirror, str) or not mirror.startswith(("http://", "https://")):
            raise RegistryError(
                f'registries.toml: registry."{host}".mirrors: {mirror!r} is not a URL', hint='mirrors = ["https://mirror.example"]'
            )
    return RegistrySettings(mirrors=tuple(mirrors), **found)  # type: ignore[arg-type]


def _checked(values: Mapping[str, object], kinds: Mapping[str, object], where: str) -> dict[str, object]:
    for key, value in values.items():
        kind = kinds.get(key)
        if kind is None:
            raise RegistryError(f"registries.toml: {where}: unknown key {key!r}", hint=f"known are {', '.join(kinds)}")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):  # type: ignore[arg-type]
            raise RegistryError(f"registries.toml: {where}.{key}: {value!r} is of the wrong type")
    return dict(values)


def _with_certs_d(host: str, found: RegistrySettings) -> RegistrySettings:
    folder = f"{_CERTS}/{host}"
    if not os.path.isdir(folder):
        return found
    from dataclasses import replace

    first = {suffix: next(iter(sorted(glob.glob(f"{glob.escape(folder)}/*{suffix}"))), "") for suffix in (".crt", ".cert", ".key")}
    return replace(found, ca=first[".crt"], client_cert=first[".cert"], client_key=first[".key"])
