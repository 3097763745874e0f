"""Logging in and out: a credential is tried before it is kept, and kept where Docker keeps it."""

from __future__ import annotations

from runtime.images.reference import DEFAULT_REGISTRY
from runtime.images.registry import credentials, settings
from runtime.images.registry.credentials import Credential
from runtime.images.registry.session import Session, endpoints
from runtime.images.registry.transport import Transport, finish


def host_of(text: str) -> str:
    """The registry's host for what users write: "", a host, or a URL."""
    host = text.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_REGISTRY if host in ("", "index.docker.io", "registry-1.docker.io", "hub.docker.com") else host


def login(registry: str, username: str, password: str) -> str:
    """Try user and password at the registry, then keep them; returns the file or helper. Raises RegistryError when they are refused."""
    host = host_of(registry)
    credential = Credential(username=username, password=password)
    transport = Transport(settings.load())
    try:
        session = Session(transport, endpoints(host, transport, mirrors=False)[-1], "", "", credential=credential)
        finish(session.request("GET", session.url(""), what=host))
    finally:
        transport.close()
    return credentials.save(host, credential)


def logout(registry: str) -> bool:
    """Forget the credential; whether there was one."""
    return credentials.erase(host_of(registry))


def known_user(registry: str) -> str:
    """The user kept for the registry, "" for none."""
    held = credentials.find(host_of(registry))
    return held.username if held else ""
