"""Who we are at a registry: Docker's ``config.json`` (auths, credHelpers, credsStore), shared with every tool that reads it.

``DOCKER_CONFIG`` names the directory, ``~/.docker`` is the default. Helpers speak docker-credential-helpers' protocol on stdin and stdout.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import subprocess
from collections.abc import Mapping

from runtime import store
from runtime.errors import RegistryError
from runtime.images.reference import DEFAULT_REGISTRY
from runtime.record import dataclass

_DOCKER_HUB = "https://index.docker.io/v1/"
_HELPER_TIMEOUT = 30  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user and password, or an identity (refresh) token."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def basic(self) -> str:
        """The value of a Basic Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def path() -> str:
    """Docker's configuration file."""
    return f"{os.environ.get('DOCKER_CONFIG') or os.path.expanduser('~/.docker')}/config.json"


def find(host: str) -> Credential | None:
    """The credential for a registry, from its helper, the store or the file; None when there is none."""
    config = _read()
    helper = _helper(config, host)
    if helper:
        return _from_helper(helper, host)
    auths = config.get("auths")
    for key in _keys(host):
        entry = auths.get(key) if isinstance(auths, dict) else None
        if isinstance(entry, dict):
            return _from_entry(entry, key)
    return None


def save(host: str, credential: Credential) -> str:
    """Keep a credential; returns where: the helper's name, or the file (whose secrets are not encrypted)."""
    config = _read()
    helper = _helper(config, host)
    if helper:
        secret = credential.identity_token or credential.password
        user = "<token>" if credential.identity_token else credential.username
        _call(helper, "store", json.dumps({"ServerURL": _server(host), "Username": user, "Secret": secret}))
        return f"docker-credential-{helper}"
    entry = {"auth": base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()}
    if credential.identity_token:
        entry = {"auth": base64.b64encode(f"{credential.username}:".encode()).decode(), "identitytoken": credential.identity_token}
    _write({**config, "auths": {**_auths(config), _server(host): entry}})
    return path()


def erase(host: str) -> bool:
    """Forget a credential; whether there was one."""
    config = _read()
    helper = _helper(config, host)
    if helper:
        held = _from_helper(helper, host) is not None
        _call(helper, "erase", _server(host))
        return held
    left = {k: v for k, v in _auths(config).items() if k not in _keys(host)}
    if len(left) == len(_auths(config)):
        return False
    _write({**config, "auths": left})
    return True


def _server(host: str) -> str:
    return _DOCKER_HUB if host == DEFAULT_REGISTRY else host


def _keys(host: str) -> tuple[str, ...]:
    plain = (host, f"https://{host}", f"https://{host}/", f"http://{host}", f"https://{host}/v1/", f"https://{host}/v2/")
    return (_DOCKER_HUB, "index.docker.io", *plain) if host == DEFAULT_REGISTRY else plain


def _read() -> dict[str, object]:
    text = store.read_file(path())
    if not text or not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise RegistryError(f"{path()}: {error}", hint="the file is Docker's; repair or remove it") from None
    return found if isinstance(found, dict) else {}


def _auths(config: Mapping[str, object]) -> Mapping[str, object]:
    found = config.get("auths")
    return found if isinstance(found, dict) else {}


def _write(config: Mapping[str, object]) -> None:
    os.makedirs(os.path.dirname(path()), mode=0o700, exist_ok=True)
    store.write_atomic(os.path.realpath(path()), json.dumps(config, indent="\t") + "\n", 0o600, durable=True)


def _helper(config: Mapping[str, object], host: str) -> str:
    helpers = config.get("credHelpers")
    for key in _keys(host):
        if isinstance(helpers, dict) and isinstance(helpers.get(key), str):
            return str(helpers[key])
    name = config.get("credsStore")
    return name if isinstance(name, str) else ""


def _from_entry(entry: Mapping[str, object], key: str) -> Credential | None:
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    auth = entry.get("auth")
    if isinstance(auth, str) and auth:
        try:
            username, _, password = base64.b64decode(auth, validate=True).decode().rstrip("\0").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise RegistryError(f"{path()}: auths[{key!r}].auth is not valid base64", hint=f"pycompose login {key}") from None
    token, registry_token = str(entry.get("identitytoken") or ""), str(entry.get("registrytoken") or "")
    if not (username or token or registry_token):
        return None
    return Credential(username=username, password=password, identity_token=token, registry_token=registry_token)


def _from_helper(helper: str, host: str) -> Credential | None:
    for server in dict.fromkeys((_server(host), host)):
        text = _call(helper, "get", server, missing_is_none=True)
        if text is None:
            continue
        found = json.loads(text)
        user, secret = str(found.get("Username", "")), str(found.get("Secret", ""))
        return Credential(identity_token=secret) if user == "<token>" else Credential(username=user, password=secret)
    return None


def _call(helper: str, verb: str, text: str, *, missing_is_none: bool = False) -> str | None:
    program = f"docker-credential-{helper}"
    if "/" in helper or not shutil.which(program):
        raise RegistryError(f"the credential helper {program} of {path()} is not installed", hint=f"install it, or take it out of {path()}")
    done = subprocess.run([program, verb], input=text, capture_output=True, text=True, check=False, timeout=_HELPER_TIMEOUT)
    if done.returncode:
        told = (done.stdout + done.stderr).strip()
        if missing_is_none and "not found" in told:
            return None
        raise RegistryError(f"{program} {verb} failed: {told[:300]}")
    return done.stdout
