"""Archives of images: `docker save` and OCI layouts, to and from skopeo, umoci and hostile hands."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import ImageError
from runtime.images import ImageStore

from .conftest import Skopeo, entry, make_image, tar_of
from .test_unpack import listing

pytestmark = pytest.mark.root
Stores = Callable[..., ImageStore]
LAYER = tar_of(entry("hello", b"world"))


def saved(store: ImageStore, scratch: Path, *names: str, form: str = "docker") -> Path:
    path = scratch / f"{form}.tar"
    with path.open("wb") as file:
        store.save(names, file, format=form)
    return path


def same(one: ImageStore, other: ImageStore, image_id: str, other_id: str = "") -> None:
    for ours, theirs in zip(one.layers(image_id), other.layers(other_id or image_id), strict=True):
        assert listing(Path(ours)) == listing(Path(theirs))


@pytest.mark.parametrize("form", ["docker", "oci"])
@pytest.mark.parametrize("pack", [lambda d: d, gzip.compress], ids=["plain", "gzip"])
def test_there_and_back(
    store: ImageStore, new_store: Stores, scratch: Path, sample: str, form: str, pack: Callable[[bytes], bytes]
) -> None:
    other_id = make_image(store, "second/name:v2", seed=1)
    path = saved(store, scratch, "sample:1", "second/name:v2", form=form)
    assert path.read_bytes() == saved(store, scratch, "sample:1", "second/name:v2", form=form).read_bytes()
    other = new_store()
    assert set(other.load(io.BytesIO(pack(path.read_bytes())))) == {"sample:1", "second/name:v2"}
    assert {i.id for i in other.list()} == {sample, other_id}
    same(store, other, sample)
    assert other.raw_config(sample) == store.raw_config(sample)
    assert other.verify() == ()


def test_an_image_by_id_has_no_name(store: ImageStore, new_store: Stores, scratch: Path, sample: str) -> None:
    other = new_store()
    with saved(store, scratch, sample).open("rb") as file:
        assert other.load(file) == (sample,)
    assert other.get(sample).references == ()


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
def test_skopeo_takes_ours(store: ImageStore, scratch: Path, sample: str, skopeo: Skopeo, new_store: Stores, transport: str) -> None:
    path = saved(store, scratch, "sample:1")
    target = scratch / ("layout" if transport == "oci" else "theirs.tar")
    skopeo.copy(f"docker-archive:{path}:sample:1", f"{transport}:{target}:sample:1")
    archive = target
    if transport == "oci":
        archive = scratch / "layout.tar"
        subprocess.run(["tar", "-C", target, "-cf", archive, "."], check=True)
    other = new_store()
    with archive.open("rb") as file:
        other.load(file)
    same(store, other, sample, other.list()[0].id)
    assert other.verify() == ()


def test_skopeo_takes_our_oci_layout(store: ImageStore, scratch: Path, sample: str, skopeo: Skopeo) -> None:
    path = saved(store, scratch, "sample:1", form="oci")
    found = skopeo.inspect(f"oci-archive:{path}:1")
    assert found["Layers"] == list(store.config(sample).diff_ids)


def test_umoci_unpacks_what_we_unpack(store: ImageStore, scratch: Path, sample: str) -> None:
    path = saved(store, scratch, "sample:1", form="oci")
    layout = scratch / "layout"
    layout.mkdir()
    subprocess.run(["tar", "-C", layout, "-xf", path], check=True)
    subprocess.run(["umoci", "raw", "unpack", "--image", f"{layout}:1", scratch / "theirs"], check=True, capture_output=True)
    from runtime.images.flatten import merged

    view = merged(store.layers(sample))
    theirs = {str(p.relative_to(scratch / "theirs")) for p in (scratch / "theirs").rglob("*")}
    assert {p.decode() for p in view} == theirs


def docker_archive(*, layer: bytes = LAYER, diff_id: str = "", manifest: object = None, config: bytes = b"", links: bool = False) -> bytes:
    diff_id = diff_id or f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = config or json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode()
    entries = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["l/layer.tar"]}] if manifest is None else manifest
    members = [entry("manifest.json", json.dumps(entries).encode()), entry("config.json", config)]
    if links:
        members += [entry("real/layer.tar", layer), entry("l/layer.tar", kind=tarfile.SYMTYPE, linkname="../real/layer.tar")]
    else:
        members.append(entry("l/layer.tar", layer))
    return tar_of(*members)


def test_archives_of_old_dockers_with_links_between_layers(store: ImageStore) -> None:
    assert store.load(io.BytesIO(docker_archive(links=True))) == ("x:1",)


@pytest.mark.parametrize(
    ("archive", "told"),
    [
        (b"", "neither"),
        (tar_of(entry("etc/passwd", b"x")), "neither"),
        (docker_archive(manifest=[]), "lists no images"),
        (docker_archive(manifest={"a": 1}), "lists no images"),
        (docker_archive(manifest=[{"Config": "../../etc/shadow", "Layers": []}]), "climbs out"),
        (docker_archive(manifest=[{"Config": "/etc/shadow", "Layers": []}]), "absolute"),
        (docker_archive(manifest=[{"Config": "nothing", "Layers": []}]), "does not hold"),
        (docker_archive(manifest=[{"Config": 1}]), "malformed"),
        (docker_archive(manifest=[{"Config": "config.json", "Layers": []}]), "0 layers for an image of 1"),
        (docker_archive(diff_id="sha256:" + "0" * 64), "does not match its diff id"),
        (docker_archive(config=b"[]"), "not a JSON object"),
        (docker_archive(diff_id="sha256:../../../etc"), "not a sha256 digest"),
        (docker_archive(manifest=[{"Config": "config.json", "RepoTags": ["../../x"], "Layers": ["l/layer.tar"]}]), "invalid reference"),
        (tar_of(entry("manifest.json", b"[" * 200_000)), "not valid JSON"),
        (tar_of(entry("manifest.json", kind=tarfile.SYMTYPE, linkname="/etc/passwd")), "neither"),
        (tar_of(entry("manifest.json", b" " * (9 << 20))), "refused"),
    ],
)
def test_hostile_and_broken_docker_archives(store: ImageStore, archive: bytes, told: str) -> None:
    with pytest.raises(ImageError, match=told):
        store.load(io.BytesIO(archive))
    assert store.list() == ()
    store.gc()
    assert store.content.all() == ()


def layout(**changes: object) -> bytes:
    """An OCI layout of one image; ``changes`` replace parts of its documents."""
    diff_id = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"
    blobs: dict[str, bytes] = {diff_id: LAYER}

    def put(document: object) -> dict[str, object]:
        data = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        blobs[digest] = data
        return {"digest": digest, "size": len(data), "mediaType": "x"}

    config = put({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}})
    manifest = put({"schemaVersion": 2, "config": config, "layers": [{"digest": diff_id, "size": len(LAYER)}], **changes})
    for _ in range(int(str(changes.get("depth", 0)))):
        manifest = put({"schemaVersion": 2, "manifests": [manifest]})
    if changes.get("damage"):
        blobs[diff_id] = LAYER[:-1] + b"x"
    if changes.get("manifest_digest"):
        manifest["digest"] = changes["manifest_digest"]
    members = [entry("oci-layout", b"{}"), entry("index.json", json.dumps({"manifests": [manifest]}).encode())]
    return tar_of(*members, *(entry(f"blobs/sha256/{digest[7:]}", data) for digest, data in blobs.items()))


@pytest.mark.parametrize(
    ("archive", "told"),
    [
        (layout(depth=9), "nests indexes deeper"),
        (layout(damage=True), "does not match its digest"),
        (layout(manifest_digest="sha256:" + "1" * 64), "does not hold"),
        (layout(manifest_digest="../../etc/passwd"), "not a sha256 digest"),
        (layout(layers="many"), "malformed"),
        (layout(layers=[]), "0 layers for an image of 1"),
        (layout(layers=[{"digest": "sha512:00"}]), "not a sha256 digest"),
        (layout(config=[]), "malformed"),
    ],
)
def test_hostile_and_broken_layouts(store: ImageStore, archive: bytes, told: str) -> None:
    with pytest.raises(ImageError, match=told):
        store.load(io.BytesIO(archive))
    assert store.list() == ()


def test_a_nested_index_is_followed(store: ImageStore) -> None:
    (loaded,) = store.load(io.BytesIO(layout(depth=2)))
    assert store.get(loaded).config.architecture == "amd64"
