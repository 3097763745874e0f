"""Whether a registry still has what the store holds under a name: one small request over one socket. In the command's process, before others.

A pull with nothing to pull is the commonest one. Our HTTP library and the store's own modules take five times as long to import as this
whole question takes, so nothing of them is used here. Whatever is not plain (passwords, proxies, mirrors, settings, digests, another
platform, an answer other than 200) is left to the pull in full: "unknown" is always a right answer.
"""

from __future__ import annotations

import json
import os

from runtime.images.registry.loopback import is_loopback

_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_SETTINGS = "/etc/pycompose/registries.toml", "~/.config/pycompose/registries.toml"
_TIMEOUT = 5.0  # seconds; the pull in full is more patient
_MOST = 65536  # bytes of headers


def current(images: str, reference: str) -> tuple[str, str, str] | None:
    """(repository, digest, image id) when ``reference`` in the store at ``images`` is what its registry has now; None for unknown."""
    registry, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":") if ":" in rest else (rest, "", "latest")
    if "@" in reference or not repository or not _is_host(registry) or not _is_plain(registry):
        return None
    found = _held(images, f"{registry}/{repository}", tag)
    if found is None or _asked(registry, repository, tag) not in found[1]:
        return None
    return repository, next(iter(found[1])), found[0]


def _is_host(registry: str) -> bool:
    """Whether the first part of a reference is a registry that answers without a token for everybody (Docker Hub does not)."""
    return ("." in registry or ":" in registry or registry == "localhost") and not registry.endswith("docker.io")


def _is_plain(registry: str) -> bool:
    """No settings for registries, no certificates, and no proxy on the way."""
    environment = os.environ
    home = f"{environment['XDG_CONFIG_HOME']}/pycompose/registries.toml" if environment.get("XDG_CONFIG_HOME") else _SETTINGS[1]
    files = (_SETTINGS[0], os.path.expanduser(home), environment.get("PYCOMPOSE_REGISTRIES", ""), f"/etc/docker/certs.d/{registry}")
    if any(path and os.path.exists(path) for path in files):
        return False
    return is_loopback(registry) or not any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES)


def _held(images: str, name: str, tag: str) -> tuple[str, tuple[str, ...]] | None:
    """The image id and the digests it has in this repository, when all of it is here and runs on this machine."""
    try:
        with open(f"{images}/references.json", "rb") as file:
            known = json.load(file)
        image_id = known[f"{name}:{tag}"]
        with open(f"{images}/configs/{image_id[7:]}", "rb") as file:
            config = json.load(file)
        wanted = ("linux", _ARCHITECTURES.get(os.uname().machine))
        there = all(os.path.isdir(f"{images}/layers/{diff_id[7:]}/diff") for diff_id in config["rootfs"]["diff_ids"])
        if (config["os"], config["architecture"]) != wanted or not there:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    digests = tuple(key.partition("@")[2] for key, value in known.items() if value == image_id and key.startswith(f"{name}@"))
    return (image_id, digests) if digests else None


def _asked(registry: str, repository: str, tag: str) -> str:
    """The digest that the registry tells in answer to a HEAD (distribution-spec, "checking if content exists"), "" for anything else."""
    from socket import create_connection

    host, _, port = registry.rpartition(":") if not registry.endswith("]") and ":" in registry else (registry, "", "")
    plain = is_loopback(registry)
    request = f"HEAD /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: {registry}\r\nUser-Agent: pycompose\r\nAccept: {_ACCEPT}\r\n"
    try:
        with create_connection((host.strip("[]"), int(port) if port else 80 if plain else 443), _TIMEOUT) as connection:
            if not plain:
                import ssl

                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host.strip("[]"))
            connection.sendall(f"{request}Connection: close\r\n\r\n".encode("ascii"))
            answer = b""
            while b"\r\n\r\n" not in answer and len(answer) < _MOST and (data := connection.recv(_MOST)):
                answer += data
    except (OSError, ValueError):
        return ""
    return _digest(answer)


def _digest(answer: bytes) -> str:
    status, *lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    if status.split(" ")[1:2] != ["200"]:
        return ""
    headers = dict(line.lower().split(":", 1) for line in lines if ":" in line)
    return headers.get("docker-content-digest", "").strip()
