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
from runtime.images.limits import Limits
from runtime.native.syscalls import setns, unshare
from runtime.store import Paths

CLONE_NEWNET = 0x40000000
REMOTE = "10.99.0.1"  # an address in the test's own namespace that is not loopback's: plain HTTP is not taken for granted there

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

    def make(limits: Limits | None = None) -> ImageStore:
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
        subprocess.run(["ip", "address", "add", f"{REMOTE}/32", "dev", "lo"], check=True)
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


def wait_for(port: int, process: subprocess.Popen[bytes], host: str) -> None:
    """Return when something listens there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
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
        host = REMOTE if tls else "127.0.0.1"
        http = f"addr: '{host}:{port}', secret: x"
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
        wait_for(port, process, host)
        return Registry(host=f"{REMOTE if tls else 'localhost'}:{port}", data=data / "data", ca=ca)

    yield start
    for process in started:
        process.send_signal(signal.SIGKILL)
        process.wait()


def certificates(folder: Path) -> str:
    """A private CA and a server's certificate for registry.test; returns the CA's path."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "names").write_text(f"subjectAltName=DNS:localhost,IP:{REMOTE}\n")
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=private test CA", "-keyout", "ca.key", "-out", "ca.pem"
    )
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=registry", "-keyout", "server.key", "-out", "server.csr")
    openssl(
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    )
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


@dataclass
class Skopeo:
    """The second client: copies between registries, archives and layouts."""

    scratch: Path

    def copy(self, source: str, target: str, *options: str) -> None:
        """Copy an image. Raises with skopeo's own words."""
        done = subprocess.run(
            ["skopeo", "--insecure-policy", "copy", "-q", *options, source, target], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def inspect(self, source: str, *options: str) -> dict[str, object]:
        """What skopeo says of an image."""
        import json

        done = subprocess.run(["skopeo", "--insecure-policy", "inspect", *options, source], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found


@pytest.fixture
def skopeo(scratch: Path) -> Skopeo:
    """The second client."""
    return Skopeo(scratch)


@pytest.fixture
def sample(store: ImageStore) -> str:
    """An image of three layers in ``store``: files, a whiteout, a set-user-id file; its id."""
    return make_image(store, "sample:1")


def make_image(store: ImageStore, reference: str, seed: int = 0, size: int = 200_000) -> str:
    """An image of three layers; the second is ``size`` bytes of noise."""
    import json
    import random

    noise = random.Random(seed).randbytes(size)
    tars = [
        tar_of(entry("etc", kind=tarfile.DIRTYPE), entry("etc/old", b"old"), entry("bin/su", b"#!", mode=0o4755)),
        tar_of(entry("data", noise)),
        tar_of(entry("etc/.wh.old"), entry(f"etc/new{seed}", b"new")),
    ]
    with store.lease():
        layers = [store.add_layer(io.BytesIO(t)) for t in tars]
        config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/su"], "Env": ["A=1"]},
                  "created": "2024-01-01T00:00:00Z",
                  "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
                  "history": [{"created_by": f"step {i}"} for i in range(3)]}  # fmt: skip
        return store.add_image(json.dumps(config).encode(), layers, [reference]).id
