"""Stores of their own, tars made by hand, and a real registry on loopback."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.images import ImageStore
from runtime.images.limits import DEFAULT, Limits
from runtime.native.syscalls import setns, unshare
from runtime.store import Paths

CLONE_NEWNET = 0x40000000

Member = tuple[tarfile.TarInfo, bytes]


def entry(name: str, content: bytes | None = None, kind: bytes = tarfile.REGTYPE, **fields: object) -> Member:
    """One member of a tar; ``fields`` are TarInfo's, ``xattrs`` a mapping."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    xattrs = fields.pop("xattrs", {})
    for key, value in fields.items():
        setattr(info, key, value)
    assert isinstance(xattrs, dict)
    info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in xattrs.items()}
    return info, content or b""


def tar_of(*members: Member) -> bytes:
    """The members as an uncompressed PAX tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for info, content in members:
            info.size = len(content) if info.type == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory on a real file system (overlay upper directories and xattrs work), gone afterwards."""
    path = Path("/var/tmp") / f"pycompose-images-{secrets.token_hex(4)}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def new_store(scratch: Path) -> Callable[..., ImageStore]:
    """Makes stores, each in a root of its own."""

    def make(limits: Limits = DEFAULT) -> ImageStore:
        home = scratch / secrets.token_hex(4)
        return ImageStore(Paths(str(home / "root"), str(home / "run")), limits)

    return make


@pytest.fixture
def store(new_store: Callable[..., ImageStore]) -> ImageStore:
    """An empty store."""
    return new_store()


@pytest.fixture
def loopback() -> Iterator[None]:
    """A network namespace of this test's own, with nothing but lo: whatever is started in it reaches nobody else."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    unshare(CLONE_NEWNET)
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        setns(before, CLONE_NEWNET)
        os.close(before)


@dataclass
class Registry:
    """A running docker-registry: ``host`` as references name it, ``ca`` its private CA's certificate or ""."""

    host: str
    data: Path
    ca: str = ""


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when something listens on 127.0.0.1."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, "the server ended at once"
        time.sleep(0.05)
    raise AssertionError("the server never listened")


@pytest.fixture
def serve(loopback: None, scratch: Path) -> Iterator[Callable[..., Registry]]:
    """Starts docker-registry, plain or with TLS under a private CA, with or without a password."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*, port: int = 5000, tls: bool = False, user: str = "", password: str = "") -> Registry:
        data = scratch / f"registry-{port}"
        data.mkdir()
        lines = ["version: 0.1", "log: {level: error, accesslog: {disabled: true}}"]
        lines += [f"storage: {{filesystem: {{rootdirectory: {data}/data}}, delete: {{enabled: true}}}}"]
        http = f"addr: '127.0.0.1:{port}', secret: x"
        ca = ""
        if tls:
            ca = certificates(data)
            http += f", tls: {{certificate: {data}/server.pem, key: {data}/server.key}}"
        lines.append(f"http: {{{http}}}")
        if user:
            subprocess.run(["htpasswd", "-Bbc", data / "htpasswd", user, password], check=True, capture_output=True)
            lines.append(f"auth: {{htpasswd: {{realm: test, path: {data}/htpasswd}}}}")
        (data / "config.yml").write_text("\n".join(lines))
        process = subprocess.Popen(["docker-registry", "serve", data / "config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        wait_for(port, process)
        name = "localhost" if not tls else "registry.test"
        return Registry(host=f"{name}:{port}", data=data / "data", ca=ca)

    yield start
    for process in started:
        process.send_signal(signal.SIGKILL)
        process.wait()


def certificates(folder: Path) -> str:
    """A private CA and a server's certificate for registry.test; returns the CA's path."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "names").write_text("subjectAltName=DNS:registry.test,DNS:localhost,IP:127.0.0.1\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=private test CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=registry.test", "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem")
    return str(folder / "ca.pem")


@pytest.fixture
def registries(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes the registries.toml in force; without a call, none is. Docker's own configuration is an empty one of the test's."""
    path = scratch / "registries.toml"
    monkeypatch.setenv("PYCOMPOSE_REGISTRIES", str(path))
    monkeypatch.setenv("DOCKER_CONFIG", str(scratch / "docker"))

    def write(text: str) -> None:
        path.write_text(text)

    return write
