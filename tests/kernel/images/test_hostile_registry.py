"""Registries that serve nonsense, lies and traps; tokens and redirects that must not leak a password."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.errors import ImageError, RegistryError
from runtime.images import ImageStore
from runtime.images.pull import pull
from runtime.images.registry import credentials
from runtime.images.registry.credentials import Credential

from .conftest import entry, tar_of
from .stub import CONFIG, INDEX, LAYER, MANIFEST, Answer, Stub, digest_of

pytestmark = pytest.mark.root
TAR = tar_of(entry("hello", b"world"))
OTHER = tar_of(entry("other", b"x"))


@pytest.fixture
def stub(loopback: None, registries: Callable[[str], None]) -> Iterator[Stub]:
    registries("[transfer]\nattempts = 2\ntimeout = 3\n")
    found = Stub(5002)
    yield found
    found.close()


def refused(store: ImageStore, stub: Stub, told: str, reference: str = "") -> None:
    with pytest.raises(ImageError, match=told) as raised:
        pull(store, reference or f"{stub.host}/x")
    assert raised.value.hint
    assert store.list() == ()
    store.gc()
    assert store.content.all() == ()
    assert list(Path(store.root, "tmp").iterdir()) == []


def test_a_good_one_is_taken(stub: Stub, store: ImageStore) -> None:
    stub.image(TAR)
    assert pull(store, f"{stub.host}/x").references[0].startswith(f"{stub.host}/x")
    assert store.verify() == ()


def bad_layers() -> dict[str, tuple[object, str]]:
    good = {"mediaType": LAYER, "digest": digest_of(TAR), "size": len(TAR)}
    return {
        "no list": ("x", "'layers' is not a list"),
        "too few": ([], "0 layers and 1 diff ids"),
        "no descriptor": (["x"], "no descriptor"),
        "no digest": ([{**good, "digest": None}], "not a sha256 digest"),
        "climbing digest": ([{**good, "digest": "sha256:../../../../etc/passwd"}], "not a sha256 digest"),
        "upper case digest": ([{**good, "digest": digest_of(TAR).upper()}], "not a sha256 digest"),
        "weak digest": ([{**good, "digest": "md5:" + "0" * 32}], "not a sha256 digest"),
        "size too small": ([{**good, "size": 10}], "longer than the 10 bytes"),
        "size too large": ([{**good, "size": len(TAR) + 512}], "sent .* of|broke off"),
        "negative size": ([{**good, "size": -1}], "has the size -1"),
        "size as text": ([{**good, "size": "10"}], "has the size"),
        "size true": ([{**good, "size": True}], "has the size"),
        "not there": ([{**good, "digest": "sha256:" + "1" * 64}], "is not found"),
        "another layer": ([{**good, "digest": digest_of(OTHER), "size": len(OTHER)}], "does not match its diff id"),
        "strange type": ([{**good, "mediaType": "application/x-sh"}], "none of a container image's"),
        "encrypted": ([{**good, "mediaType": f"{LAYER}+gzip+encrypted"}], "none of a container"),
        "too many": ([good] * 600, "600 layers; more than 512"),
    }


@pytest.mark.parametrize("case", bad_layers())
def test_wrong_layers(stub: Stub, store: ImageStore, case: str) -> None:
    layers, told = bad_layers()[case]
    stub.blob(OTHER)
    stub.image(TAR, layers=layers)
    refused(store, stub, told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schemaVersion": 1}, "schema version 1"),
        ({"schemaVersion": None}, "schema version"),
        ({"config": None}, "no descriptor"),
        (
            {"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest_of(b"{}"), "size": 2}},
            "none of a container image's",
        ),
        ({"mediaType": INDEX}, "does not fit its content"),
        ({"manifests": []}, "an index and an image at once"),
        ({"mediaType": "text/plain"}, "does not fit"),
        ({"config": {"mediaType": CONFIG, "digest": digest_of(b"x"), "size": 1 << 40}}, "more than .* is refused"),
    ],
)
def test_wrong_manifests(stub: Stub, store: ImageStore, changes: dict[str, object], told: str) -> None:
    stub.image(TAR, **changes)
    refused(store, stub, told)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"{" * 50_000, "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff" * 10, "not valid JSON"),
        (b" " * (5 << 20), "more than"),
        (b'{"schemaVersion":2}', "'layers' is not a list"),
    ],
)
def test_documents_that_are_none(stub: Stub, store: ImageStore, raw: bytes, told: str) -> None:
    stub.manifest(raw)
    refused(store, stub, told)


def test_a_manifest_of_another_digest_than_asked_for(stub: Stub, store: ImageStore) -> None:
    stub.image(TAR)
    wanted = "sha256:" + "2" * 64
    stub.table[f"/v2/x/manifests/{wanted}"] = stub.table["/v2/x/manifests/latest"]
    refused(store, stub, "does not match its digest", f"{stub.host}/x@{wanted}")


def test_indexes_without_end(stub: Stub, store: ImageStore) -> None:
    stub.image(TAR)
    raw = stub.table["/v2/x/manifests/latest"].body
    described: dict[str, object] = {
        "mediaType": MANIFEST,
        "digest": digest_of(raw),
        "size": len(raw),
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    for _ in range(3):
        described = stub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]}, INDEX)
    assert pull(store, f"{stub.host}/x").config.architecture == "amd64"
    store.prune(all_unused=True)
    for _ in range(5):
        described = stub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]}, INDEX)
    refused(store, stub, "nested deeper than 4")


def test_an_index_that_lies_about_sizes_or_kinds(stub: Stub, store: ImageStore) -> None:
    stub.image(TAR)
    raw = stub.table["/v2/x/manifests/latest"].body
    described = {
        "mediaType": MANIFEST,
        "digest": digest_of(raw),
        "size": len(raw) + 1,
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    stub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]}, INDEX)
    refused(store, stub, "instead of")
    stub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**described, "size": len(raw), "mediaType": INDEX}]}, INDEX)
    refused(store, stub, "does not fit its content")
    stub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, INDEX)
    refused(store, stub, "no manifest for")


def test_an_image_for_another_system(stub: Stub, store: ImageStore) -> None:
    config = json.dumps({"architecture": "amd64", "os": "windows", "rootfs": {"type": "layers", "diff_ids": [digest_of(TAR)]}}).encode()
    stub.image(TAR, config=stub.blob(config, CONFIG))
    refused(store, stub, "is an image for windows")


def test_a_hostile_layer_behind_a_good_one(stub: Stub, store: ImageStore) -> None:
    bad = tar_of(entry("../../escape", b"x"))
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest_of(TAR), digest_of(bad)]}}
    ).encode()
    stub.image(TAR, config=stub.blob(config, CONFIG), layers=[stub.blob(TAR), stub.blob(bad)])
    refused(store, stub, "climbs out")


def test_a_bomb_from_a_registry(stub: Stub, store: ImageStore, registries: Callable[[str], None]) -> None:
    bomb = gzip.compress(tar_of(entry("zeros", bytes(64 << 20))))
    limited = ImageStore(store.paths, type(store.limits)(layer_bytes=8 << 20))
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "3" * 64]}}).encode()
    stub.image(TAR, config=stub.blob(config, CONFIG), layers=[{**stub.blob(bomb), "mediaType": f"{LAYER}+gzip"}])
    refused(limited, stub, "limits|room|unpacks")


def test_tokens(stub: Stub, store: ImageStore, new_store: Callable[..., ImageStore]) -> None:
    stub.image(TAR)
    stub.token = "T1"
    pull(store, f"{stub.host}/x")
    stub.user = "me:pw"
    with pytest.raises(RegistryError, match="gives no token"):
        pull(new_store(), f"{stub.host}/x")
    credentials.save(stub.host, Credential(username="me", password="pw"))
    pull(new_store(), f"{stub.host}/x")
    stub.refresh = "R1"
    credentials.save(stub.host, Credential(identity_token="R1"))
    pull(new_store(), f"{stub.host}/x")


def test_redirects_are_followed_without_the_password(stub: Stub, store: ImageStore) -> None:
    stub.image(TAR)
    stub.token = "T1"
    elsewhere = Stub(5003)
    try:
        path = f"/v2/x/blobs/{digest_of(TAR)}"
        elsewhere.table["/storage"] = stub.table[path]
        stub.table[path] = Answer(b"", status=307, location="http://localhost:5003/storage?signature=abc")
        pull(store, f"{stub.host}/x")
        ((line, headers),) = elsewhere.seen
        assert line == "GET /storage?signature=abc"
        assert "Authorization" not in headers
    finally:
        elsewhere.close()


def test_redirects_in_circles(stub: Stub, store: ImageStore) -> None:
    stub.table["/v2/x/manifests/latest"] = Answer(b"", status=302, location="/v2/x/manifests/latest")
    refused(store, stub, "redirects in circles")
