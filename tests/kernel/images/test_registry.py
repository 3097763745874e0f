"""Pull and push against Debian's docker-registry, with skopeo as the second client, and a proxy that breaks things."""

from __future__ import annotations

import email.utils
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.errors import ImageError, NotFound, RegistryError
from runtime.images import ImageStore
from runtime.images.events import Cancelled, TransferEvent
from runtime.images.pull import pull
from runtime.images.push import push
from runtime.images.registry import login

from .conftest import Registry, Skopeo, entry, make_image, tar_of, wait_for
from .faults import Fault, FaultProxy
from .test_unpack import listing

pytestmark = pytest.mark.root

QUICK = "[transfer]\nattempts = 3\ntimeout = 3\n"
Serve = Callable[..., Registry]
Stores = Callable[..., ImageStore]
PROJECT = Path(__file__).parents[3]


@pytest.fixture
def proxy(serve: Serve, registries: Callable[[str], None]) -> Iterator[FaultProxy]:
    registries(QUICK)
    serve(port=5000)
    found = FaultProxy("127.0.0.1:5000", 5001)
    yield found
    found.close()


def same_files(one: ImageStore, other: ImageStore, image_id: str) -> None:
    for ours, theirs in zip(one.layers(image_id), other.layers(image_id), strict=True):
        assert listing(Path(ours)) == listing(Path(theirs))


def test_there_and_back(serve: Serve, registries: object, store: ImageStore, new_store: Stores, sample: str) -> None:
    registry = serve()
    name = f"{registry.host}/a/b:1"
    store.tag("sample:1", name)
    events: list[TransferEvent] = []
    digest = push(store, name, progress=events.append)
    assert {e.status for e in events if e.id} >= {"Waiting", "Pushed"}
    other = new_store()
    events.clear()
    state = pull(other, name, progress=events.append)
    assert (state.id, state.digest) == (sample, digest)
    assert set(state.references) == {name, f"{registry.host}/a/b@{digest}"}
    assert {e.status for e in events if e.id} >= {"Waiting", "Pull complete"}
    assert other.verify() == ()
    same_files(store, other, sample)
    assert other.find(f"{registry.host}/a/b@{digest}") is not None
    assert pull(new_store(), f"{registry.host}/a/b@{digest}").id == sample


def test_what_is_there_is_not_moved_again(proxy: FaultProxy, store: ImageStore, new_store: Stores, sample: str) -> None:
    store.tag("sample:1", "localhost:5001/x")
    push(store, "localhost:5001/x")
    other = new_store()
    pull(other, "localhost:5001/x")
    proxy.seen.clear()
    lines: list[str] = []
    pull(other, "localhost:5001/x", progress=lambda e: lines.append(e.status))
    assert [s for s in proxy.seen if "/manifests/" in s or "/blobs/" in s] == ["HEAD /v2/x/manifests/latest"]
    assert "Status: Image is up to date for localhost:5001/x:latest" in lines
    proxy.seen.clear()
    push(store, "localhost:5001/x")
    assert not [s for s in proxy.seen if s.startswith(("POST", "PATCH"))]
    make_image(store, "localhost:5001/x", seed=5)
    push(store, "localhost:5001/x")
    proxy.seen.clear()
    pull(other, "localhost:5001/x")
    assert len([s for s in proxy.seen if s.startswith("GET") and "/blobs/" in s]) == 3, "configuration and the two layers that changed"


def test_layers_are_mounted_across_repositories(proxy: FaultProxy, store: ImageStore, sample: str) -> None:
    for name in ("localhost:5001/first", "localhost:5001/second/deeper"):
        store.tag("sample:1", name)
    first = push(store, "localhost:5001/first")
    proxy.seen.clear()
    seen: list[str] = []
    assert push(store, "localhost:5001/second/deeper", progress=lambda e: seen.append(e.status)) == first
    assert not [s for s in proxy.seen if s.startswith("PATCH")]
    assert seen.count("Mounted from first") == 3


def test_skopeo_reads_what_we_push(
    serve: Serve, registries: object, store: ImageStore, sample: str, skopeo: Skopeo, scratch: Path, new_store: Stores
) -> None:
    registry = serve()
    store.tag("sample:1", f"{registry.host}/x")
    digest = push(store, f"{registry.host}/x")
    found = skopeo.inspect(f"docker://{registry.host}/x", "--tls-verify=false")
    assert found["Digest"] == digest
    skopeo.copy(f"docker://{registry.host}/x", f"oci-archive:{scratch}/x.tar:there:1", "--src-tls-verify=false")
    other = new_store()
    with (scratch / "x.tar").open("rb") as file:
        assert other.load(file)
    converted = other.list()[0].id  # skopeo writes the configuration anew for OCI
    for ours, theirs in zip(store.layers(sample), other.layers(converted), strict=True):
        assert listing(Path(ours)) == listing(Path(theirs))


@pytest.mark.parametrize(
    "options", [["--format=oci"], ["--format=v2s2"], ["--format=oci", "--dest-compress-format=zstd", "--dest-compress"]]
)
def test_we_read_what_skopeo_pushes(
    serve: Serve, registries: object, store: ImageStore, sample: str, skopeo: Skopeo, scratch: Path, new_store: Stores, options: list[str]
) -> None:  # fmt: skip
    registry = serve()
    with (scratch / "x.tar").open("wb") as file:
        store.save(["sample:1"], file)
    skopeo.copy(f"docker-archive:{scratch}/x.tar:sample:1", f"docker://{registry.host}/x:1", "--dest-tls-verify=false", *options)
    other = new_store()
    state = pull(other, f"{registry.host}/x:1")
    assert other.verify() == ()
    for ours, theirs in zip(store.layers(sample), other.layers(state.id), strict=True):
        assert listing(Path(ours)) == listing(Path(theirs))
    other.tag(f"{registry.host}/x:1", f"{registry.host}/copied/x:1")
    assert push(other, f"{registry.host}/copied/x:1") == state.digest, "an image that was pulled arrives as the same manifest"


def test_platforms_of_an_index(serve: Serve, registries: object, store: ImageStore, new_store: Stores) -> None:
    import http.client

    registry = serve()
    described = []
    for architecture in ("arm64", "amd64"):
        config = {"architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
        name = f"{registry.host}/multi:{architecture}"
        with store.lease():
            layer = store.add_layer(iter([tar_of(entry(architecture, b"x"))]))
            config["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id]}
            store.add_image(json.dumps(config).encode(), [layer], [name])
        digest = push(store, name)
        raw = store.catalog.manifest(digest)
        assert raw is not None
        media = json.loads(raw)["mediaType"]
        described.append(
            {"mediaType": media, "digest": digest, "size": len(raw), "platform": {"os": "linux", "architecture": architecture}}
        )
    notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": described[1]["digest"]}
    described.insert(0, {**described[1], "annotations": notes, "platform": {"os": "unknown", "architecture": "unknown"}})
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": described}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", 5000)
    connection.request("PUT", "/v2/multi/manifests/1", index, {"Content-Type": "application/vnd.oci.image.index.v1+json"})
    assert connection.getresponse().status == 201
    other = new_store()
    assert pull(other, f"{registry.host}/multi:1").config.architecture == "amd64"
    assert pull(other, f"{registry.host}/multi:1", platform="linux/arm64").config.architecture == "arm64"
    with pytest.raises(ImageError, match="no manifest for linux/s390x") as refused:
        pull(other, f"{registry.host}/multi:1", platform="linux/s390x")
    assert "unknown" not in str(refused.value.hint)
    assert pull(other, f"{registry.host}/multi:1").config.architecture == "amd64", "the tag is this machine's again"


def test_private_ca_and_passwords(
    serve: Serve, registries: Callable[[str], None], store: ImageStore, sample: str, new_store: Stores, skopeo: Skopeo, scratch: Path
) -> None:
    registry = serve(port=5443, tls=True, user="me", password="secret words")
    name = f"{registry.host}/x"
    store.tag("sample:1", name)
    registries(QUICK)
    with pytest.raises(RegistryError, match=r"certificate of 10\.99\.0\.1:5443 is not trusted"):
        push(store, name)
    registries(f'{QUICK}\n[registry."{registry.host}"]\nca = "{registry.ca}"\n')
    with pytest.raises(RegistryError, match="wants a user and password"):
        push(store, name)
    with pytest.raises(RegistryError, match="denies access"):
        login.login(registry.host, "me", "wrong")
    assert login.known_user(registry.host) == ""
    login.login(registry.host, "me", "secret words")
    digest = push(store, name)
    assert pull(new_store(), name).id == sample
    certs = scratch / "certs"
    certs.mkdir()
    (certs / "ca.crt").write_text(Path(registry.ca).read_text())
    found = skopeo.inspect(f"docker://{name}", f"--cert-dir={certs}", "--creds=me:secret words")
    assert found["Digest"] == digest
    assert login.logout(registry.host) is True
    with pytest.raises(RegistryError, match="wants a user and password"):
        pull(new_store(), name)


def test_plain_http_is_only_spoken_where_it_was_allowed(
    serve: Serve, registries: Callable[[str], None], store: ImageStore, sample: str
) -> None:
    serve(port=5000)
    forward = subprocess.Popen([sys.executable, "-c", _FORWARD])
    try:
        time.sleep(0.5)
        store.tag("sample:1", "10.99.0.1:5080/x")
        registries(QUICK)
        with pytest.raises(RegistryError, match="cannot be reached"):
            push(store, "10.99.0.1:5080/x")
        registries(f'{QUICK}[registry."10.99.0.1:5080"]\ninsecure = true\n')
        assert push(store, "10.99.0.1:5080/x").startswith("sha256:")
    finally:
        forward.kill()
        forward.wait()


_FORWARD = """
import socket, threading
def pump(a, b):
    try:
        while data := a.recv(65536): b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError: pass
server = socket.create_server(("10.99.0.1", 5080))
while True:
    a, _ = server.accept(); b = socket.create_connection(("127.0.0.1", 5000))
    for pair in ((a, b), (b, a)): threading.Thread(target=pump, args=pair, daemon=True).start()
"""


def test_mirrors_come_first_and_failing_ones_are_passed_over(
    proxy: FaultProxy, registries: Callable[[str], None], store: ImageStore, new_store: Stores, sample: str
) -> None:
    store.tag("sample:1", "localhost:5000/library/thing:1")
    push(store, "localhost:5000/library/thing:1")
    registries(
        f'{QUICK}attempts = 1\n[registry."docker.io"]\nmirrors = ["http://localhost:1", "http://localhost:5001"]\n'.replace(
            "attempts = 3\n", ""
        )
    )
    state = pull(new_store(), "thing:1")
    assert state.id == sample
    assert "thing:1" in state.references
    assert any("/v2/library/thing/blobs/" in line for line in proxy.seen)
    registries(f'{QUICK}[registry."localhost:5000"]\nmirrors = ["http://localhost:5001"]\n')
    proxy.faults.append(Fault("GET /v2/library/thing/blobs/", "status", times=99, status=404))
    assert pull(new_store(), "localhost:5000/library/thing:1").id == sample, "a mirror without the blobs costs nothing but time"


def pushed(proxy: FaultProxy, store: ImageStore, size: int = 3_000_000) -> str:
    image_id = make_image(store, "localhost:5001/x:1", seed=9, size=size)
    push(store, "localhost:5001/x:1")
    proxy.seen.clear()
    return image_id


def test_cut_downloads_go_on_where_they_broke(proxy: FaultProxy, store: ImageStore, new_store: Stores) -> None:
    image_id = pushed(proxy, store)
    proxy.faults += [Fault("GET .*/blobs/", "cut", times=6, at=100_000), Fault("GET .*/manifests/", "cut", times=1, at=20)]
    other = new_store()
    assert pull(other, "localhost:5001/x:1").id == image_id
    assert other.verify() == ()
    assert any(r.startswith("bytes=100000-") for r in proxy.ranges), proxy.ranges


def test_a_server_that_ignores_ranges_is_skipped_through(proxy: FaultProxy, store: ImageStore, new_store: Stores) -> None:
    image_id = pushed(proxy, store)
    proxy.faults += [Fault("GET .*/blobs/", "cut", times=4, at=500_000), Fault("GET .*/blobs/", "ignore-range", times=99)]
    assert pull(new_store(), "localhost:5001/x:1").id == image_id


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_passing_troubles_are_waited_for(proxy: FaultProxy, store: ImageStore, new_store: Stores, status: int) -> None:
    image_id = pushed(proxy, store)
    proxy.faults += [Fault("(GET|HEAD) ", "status", times=1, status=status, headers={"Retry-After": "1"}) for _ in range(2)]
    proxy.faults += [Fault("GET .*/blobs/", "refuse")]
    began = time.monotonic()
    assert pull(new_store(), "localhost:5001/x:1").id == image_id
    assert time.monotonic() - began >= 1.0, "Retry-After was not honoured"


def test_asking_counts_as_a_pull_when_there_is_nothing_newer(serve: Serve, store: ImageStore, sample: str, new_store: Stores) -> None:
    name, other = f"{serve().host}/x:1", new_store()
    store.tag(sample, name)
    push(store, name)
    first = pull(other, name).pulled_at
    other.catalog.note_pull(sample, first - 90_000 * 10**9)
    assert other.get(name).pulled_at == first - 90_000 * 10**9
    assert pull(other, name).pulled_at > first, "else a policy such as daily pulls at every up once the first day is over"
    assert other.get(name).digest


@pytest.mark.parametrize("soon", [True, False], ids=["in three seconds", "in the past"])
def test_a_date_to_come_back_at_is_honoured(proxy: FaultProxy, store: ImageStore, new_store: Stores, soon: bool) -> None:
    image_id = pushed(proxy, store)
    date = email.utils.formatdate(time.time() + (3 if soon else -3600), usegmt=True)
    proxy.faults.append(Fault("GET .*/manifests/", "status", times=1, status=429, headers={"Retry-After": date}))
    began = time.monotonic()
    assert pull(new_store(), "localhost:5001/x:1").id == image_id
    if soon:
        assert time.monotonic() - began >= 1.5, "a date has whole seconds, so at least two of the three are left"


@pytest.mark.parametrize("nonsense", ["later", "Fri, 31 Feb 2026 00:00:00 GMT", "\u00b2", "-5", "1.5", "9" * 400])
def test_what_names_no_time_to_come_back_at_does_no_harm(proxy: FaultProxy, store: ImageStore, new_store: Stores, nonsense: str) -> None:
    image_id = pushed(proxy, store)
    proxy.faults.append(Fault("GET .*/manifests/", "status", times=1, status=429, headers={"Retry-After": nonsense}))
    if nonsense.isdecimal() and len(nonsense) > 5:
        with pytest.raises(RegistryError, match="limits how often"):
            pull(new_store(), "localhost:5001/x:1")
    else:
        assert pull(new_store(), "localhost:5001/x:1").id == image_id


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (404, {}, "is not found"), (403, {}, "denies access"), (401, {}, "denies access"), (500, {}, "answered 500"), (429, {}, "limits how often"),
        (429, {"Retry-After": "3600"}, "limits how often"), (418, {}, "answered 418"),
    ],
)  # fmt: skip
def test_lasting_troubles_are_told(
    proxy: FaultProxy, store: ImageStore, new_store: Stores, status: int, headers: dict[str, str], told: str
) -> None:
    pushed(proxy, store)
    proxy.faults.append(Fault("GET .*/manifests/", "status", times=99, status=status, headers=headers))
    other = new_store()
    with pytest.raises(RegistryError, match=told) as raised:
        pull(other, "localhost:5001/x:1")
    assert "a bad day" in raised.value.message, "the registry's own words belong into the message"
    assert raised.value.hint
    assert other.list() == ()


def test_a_dead_registry_is_told(loopback: None, registries: Callable[[str], None], store: ImageStore) -> None:
    registries(QUICK)
    with pytest.raises(RegistryError, match="localhost:5001 cannot be reached"):
        pull(store, "localhost:5001/x")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault("GET .*/blobs/", "flip", times=99, at=30), "does not match its digest|damaged|diff id|cut short"),
        (Fault("GET .*/blobs/", "long", times=99), "longer than"),
        (Fault("GET .*/blobs/", "short", times=99, at=0), "sent 0 of"),
        (Fault("GET .*/manifests/", "flip", times=99, at=30), "does not match its digest"),
        (Fault("GET .*/manifests/", "type", times=99, headers={"Content-Type": "application/vnd.oci.image.index.v1+json"}), "media type"),
    ],
    ids=["blob", "long", "short", "manifest", "type"],
)
def test_wrong_content_is_refused_and_nothing_is_kept(
    proxy: FaultProxy, store: ImageStore, new_store: Stores, fault: Fault, told: str
) -> None:
    pushed(proxy, store)
    proxy.faults.append(fault)
    other = new_store()
    with pytest.raises(ImageError, match=told):
        pull(other, "localhost:5001/x:1")
    assert other.list() == ()
    other.gc()
    assert list(other.content.all()) == []
    assert other.verify() == ()


def test_cut_uploads_go_on_where_they_broke(proxy: FaultProxy, store: ImageStore, new_store: Stores) -> None:
    image_id = make_image(store, "localhost:5001/x:1", seed=3, size=5_000_000)
    proxy.faults += [
        Fault("PATCH", "eat", times=2, at=1_000_000),
        Fault("PATCH", "status", times=1, status=503),
        Fault("PUT .*/manifests/", "status", times=1, status=500),
    ]
    push(store, "localhost:5001/x:1")
    assert pull(new_store(), "localhost:5001/x:1").id == image_id


def test_giving_up_leaves_nothing(proxy: FaultProxy, store: ImageStore, new_store: Stores) -> None:
    pushed(proxy, store)
    other, cancel = new_store(), threading.Event()

    def first_bytes(event: TransferEvent) -> None:
        if event.status == "Downloading":
            cancel.set()

    with pytest.raises(Cancelled):
        pull(other, "localhost:5001/x:1", progress=first_bytes, cancel=cancel)
    assert other.list() == ()
    other.gc()
    assert list(other.content.all()) == []
    assert list(Path(other.root, "tmp").iterdir()) == []


def test_pushing_what_is_not_there(loopback: None, registries: object, store: ImageStore) -> None:
    with pytest.raises(NotFound, match="no such image"):
        push(store, "localhost:5001/nothing")


_PROXY = """
import http.client, http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, flush=True)
        host, _, path = self.path.removeprefix("http://").partition("/")
        upstream = http.client.HTTPConnection("127.0.0.1:5000")
        headers = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
        upstream.request(self.command, "/" + path, headers=headers)
        answer = upstream.getresponse(); body = answer.read()
        self.send_response(answer.status)
        for k, v in answer.getheaders(): self.send_header(k, v)
        self.end_headers(); self.wfile.write(body)
    do_HEAD = do_GET
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 5090), Handler).serve_forever()
"""


def test_proxies_are_honoured_and_passed_by(
    serve: Serve, registries: Callable[[str], None], store: ImageStore, new_store: Stores, sample: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    serve()
    store.tag("sample:1", "localhost:5000/x")
    push(store, "localhost:5000/x")
    registries(f'{QUICK}[registry."faraway.test"]\ninsecure = true\n')
    proxy = subprocess.Popen([sys.executable, "-c", _PROXY], stdout=subprocess.PIPE)
    try:
        wait_for(5090, proxy, "127.0.0.1")
        monkeypatch.setenv("http_proxy", "http://user:pw@127.0.0.1:5090")
        monkeypatch.setenv("no_proxy", "elsewhere.test")
        assert pull(new_store(), "faraway.test/x").id == sample
        monkeypatch.setenv("no_proxy", "faraway.test")
        with pytest.raises(RegistryError, match="cannot be reached"):
            pull(new_store(), "faraway.test/x")
    finally:
        proxy.kill()
        lines = proxy.communicate()[0].decode().splitlines()
    assert any(line.startswith("http://faraway.test/v2/x/blobs/") for line in lines)


def kept(store: ImageStore) -> list[Path]:
    return sorted(Path(store.root, "ingest").glob("*"))


def killed_halfway(proxy: FaultProxy, origin: ImageStore, store: ImageStore, at: int = 2 << 20) -> None:
    """A pull that is killed (SIGKILL) after ``at`` bytes of its large layer."""
    proxy.faults.append(Fault(f"GET .*/blobs/{large(origin)[0]}", "stall", times=99, at=at))
    environment = {**os.environ, "PYCOMPOSE_ROOT": store.paths.root, "PYCOMPOSE_RUN": store.paths.run, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "compose", "image", "pull", "-q", "localhost:5001/x:1"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while sum(p.stat().st_size for p in kept(store)) < at and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    proxy.faults.clear()
    proxy.seen.clear()
    proxy.closing.set()  # lets go of what is stalled
    proxy.closing.clear()


def test_a_killed_pull_is_gone_on_with(proxy: FaultProxy, store: ImageStore, new_store: Stores) -> None:
    image_id = pushed(proxy, store)
    other = new_store()
    killed_halfway(proxy, store, other)
    assert other.list() == ()
    assert [p.stat().st_size for p in kept(other)] == [2 << 20]
    other.gc()
    assert len(kept(other)) == 1, "a young partial download survives a collection"
    assert pull(other, "localhost:5001/x:1").id == image_id
    assert proxy.ranges == [f"bytes={2 << 20}-{large(store)[1] - 1}"]
    assert kept(other) == []
    assert other.verify() == ()


def large(store: ImageStore) -> tuple[str, int]:
    """Digest and size of the largest blob that the store knows."""
    known = {digest: source.size for d in store.content.all() for digest, source in store.content.require(d).sources.items()}
    return max(known.items(), key=lambda item: item[1])


def test_what_a_killed_pull_left_is_not_trusted(proxy: FaultProxy, store: ImageStore, new_store: Stores) -> None:
    image_id = pushed(proxy, store)
    other = new_store()
    killed_halfway(proxy, store, other)
    (path,) = kept(other)
    path.write_bytes(bytes(2 << 20))  # as a file system may have it after a power cut: the length without the content
    assert pull(other, "localhost:5001/x:1").id == image_id
    assert other.verify() == ()
    assert kept(other) == []


def test_what_nobody_goes_on_with_is_collected(proxy: FaultProxy, store: ImageStore, new_store: Stores) -> None:
    pushed(proxy, store)
    other = new_store()
    killed_halfway(proxy, store, other)
    (path,) = kept(other)
    assert other.df().other >= 2 << 20
    os.utime(path, (0, 0))
    other.gc()
    assert kept(other) == []
    killed_halfway(proxy, store, other)
    assert other.prune().reclaimed >= 2 << 20
    assert kept(other) == []
